//! Tunnels around the frames of [`frames`](super::frames).

use capture_common::{flow::tunnel, reason::Reason};
use proptest::prelude::*;

use crate::frames::Frame;

const UDP: u8 = 17;
pub const GRE: u8 = 47;
/// UDP ports.
pub const VXLAN: u16 = 4789;
pub const GENEVE: u16 = 6081;

/// Outer headers, of which all but the link layer's are left to [`Tunnel::around`].
#[derive(Clone, Debug)]
pub enum Kind {
    IpInIp,
    Gre { has_checksum: bool, key: Option<u32>, has_sequence: bool },
    Vxlan { vni: u32 },
    Geneve { vni: u32, options: usize },
}

#[derive(Clone, Debug)]
pub struct Tunnel {
    pub kind: Kind,
    /// 4 or 6.
    pub version: u8,
    /// Where there is a choice: Ethernet, or IP directly.
    pub has_ethernet: bool,
}

/// A frame with tunnels in it.
#[derive(Clone, Debug)]
pub struct Tunnelled {
    pub bytes: Vec<u8>,
    /// As in [`Frame::parts`].
    pub parts: Vec<(usize, Reason)>,
    /// Identifier of the innermost tunnel.
    pub id: u32,
    /// Bytes in front of what the outermost tunnel carries.
    pub offset: usize,
    /// What the parser has to say of the whole frame.
    pub result: Result<(), Reason>,
    /// Where the outermost tunnel's header starts.
    pub header: usize,
}

impl Tunnelled {
    pub fn expected(&self, length: usize) -> Result<(), Reason> {
        match self.parts.iter().find(|part| length < part.0) {
            Some((_, reason)) => Err(*reason),
            None => self.result,
        }
    }

    /// A frame that is in no tunnel yet.
    pub fn from(frame: &Frame) -> Self {
        Self {
            bytes: frame.bytes.clone(),
            parts: frame.parts.clone(),
            id: 0,
            offset: 0,
            result: frame.expected(frame.bytes.len()),
            header: 0,
        }
    }

    /// Bytes of the Ethernet header and VLAN tags.
    fn link_length(&self) -> usize {
        let is_link = |part: &&(usize, Reason)| {
            matches!(part.1, Reason::TruncatedEthernet | Reason::TruncatedVlan)
        };
        self.parts.iter().take_while(is_link).last().unwrap().0
    }
}

pub fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    [&[0xc0, 0][..], &port.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

pub fn ip(version: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if version == 4 {
        let [high, low] = (20 + payload.len() as u16).to_be_bytes();
        let start = [0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
        [&start[..], &[192, 0, 2, 1, 203, 0, 113, 9], payload].concat()
    } else {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        [&[0x60, 0, 0, 0, high, low, protocol, 64][..], &[0x20; 32], payload].concat()
    }
}

pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ethertype.to_be_bytes(), payload].concat()
}

const fn ethertype(version: u8) -> u16 {
    if version == 4 { 0x0800 } else { 0x86dd }
}

impl Tunnel {
    /// The tunnel's own header, and what a cut in it is called.
    fn header(&self, carried: u16) -> (Vec<u8>, Reason) {
        match self.kind {
            Kind::IpInIp => (Vec::new(), Reason::TruncatedIpv4),
            Kind::Gre { has_checksum, key, has_sequence } => {
                let flags = u8::from(has_checksum) << 7
                    | u8::from(key.is_some()) << 5
                    | u8::from(has_sequence) << 4;
                let mut header = vec![flags, 0];
                header.extend(carried.to_be_bytes());
                header.extend([0xab; 4].iter().filter(|_| has_checksum));
                header.extend(key.map(u32::to_be_bytes).into_iter().flatten());
                header.extend([0xcd; 4].iter().filter(|_| has_sequence));
                (header, Reason::TruncatedGre)
            }
            Kind::Vxlan { vni } => {
                let header = [[8, 0, 0, 0], (vni << 8).to_be_bytes()].concat();
                (header, Reason::TruncatedVxlan)
            }
            Kind::Geneve { vni, options } => {
                let [high, low] = carried.to_be_bytes();
                let mut header = vec![options as u8, 0, high, low];
                header.extend((vni << 8).to_be_bytes());
                header.resize(8 + 4 * options, 0x77);
                (header, Reason::TruncatedGeneve)
            }
        }
    }

    pub fn id(&self) -> u32 {
        match self.kind {
            Kind::IpInIp => tunnel::IP_IN_IP,
            Kind::Gre { key: None, .. } => tunnel::GRE,
            Kind::Gre { key: Some(key), .. } => tunnel::gre_key(key),
            Kind::Vxlan { vni } => tunnel::vxlan(vni),
            Kind::Geneve { vni, .. } => tunnel::geneve(vni),
        }
    }

    /// Does it carry Ethernet, rather than IP directly?
    fn carries_ethernet(&self) -> bool {
        match self.kind {
            Kind::IpInIp => false,
            Kind::Vxlan { .. } => true,
            Kind::Gre { .. } | Kind::Geneve { .. } => self.has_ethernet,
        }
    }

    pub fn around(&self, inner: &Tunnelled) -> Tunnelled {
        let link = inner.link_length();
        let version = inner.bytes[link] >> 4;
        let (stripped, carried) =
            if self.carries_ethernet() { (0, 0x6558) } else { (link, ethertype(version)) };
        let (header, cut) = self.header(carried);
        let payload = [&header, &inner.bytes[stripped..]].concat();
        let (protocol, payload) = match self.kind {
            Kind::IpInIp => (if version == 4 { 4 } else { 41 }, payload),
            Kind::Gre { .. } => (GRE, payload),
            Kind::Vxlan { .. } => (UDP, udp(VXLAN, &payload)),
            Kind::Geneve { .. } => (UDP, udp(GENEVE, &payload)),
        };
        let (start, short) = match self.version {
            4 => (34, Reason::TruncatedIpv4),
            _ => (54, Reason::TruncatedIpv6),
        };
        let behind_udp = start + if protocol == UDP { 8 } else { 0 };
        let offset = behind_udp + header.len();
        let mut parts = vec![(14, Reason::TruncatedEthernet), (start, short)];
        parts.extend([(behind_udp, Reason::TruncatedUdp), (offset, cut)]);
        let carried_parts = inner.parts.iter().filter(|part| part.0 > stripped);
        parts.extend(carried_parts.map(|(end, reason)| (offset + end - stripped, *reason)));
        Tunnelled {
            bytes: ethernet(ethertype(self.version), &ip(self.version, protocol, &payload)),
            parts,
            id: if inner.id == 0 { self.id() } else { tunnel::nested(self.id(), inner.id) },
            offset,
            result: inner.result,
            header: start,
        }
    }
}

pub fn tunnel_around() -> impl Strategy<Value = Tunnel> {
    let vni = || 0_u32..1 << 24;
    let gre = any::<(bool, Option<u32>, bool)>().prop_map(|(has_checksum, key, has_sequence)| {
        Kind::Gre { has_checksum, key, has_sequence }
    });
    let kind = prop_oneof![
        Just(Kind::IpInIp),
        gre,
        vni().prop_map(|vni| Kind::Vxlan { vni }),
        (vni(), 0_usize..64).prop_map(|(vni, options)| Kind::Geneve { vni, options }),
    ];
    (kind, prop_oneof![Just(4), Just(6)], any::<bool>())
        .prop_map(|(kind, version, has_ethernet)| Tunnel { kind, version, has_ethernet })
}
