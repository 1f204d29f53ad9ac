//! Tunnels around the frames of [`frames`](super::frames).

use capture_common::{flow::tunnel, reason::Reason};
use proptest::prelude::*;

use crate::frames::Frame;

const UDP: u8 = 17;
pub const GRE: u8 = 47;
/// UDP ports.
pub const VXLAN: u16 = 4789;
pub const GENEVE: u16 = 6081;
/// What GRE says that it carries.
pub const ERSPAN: u16 = 0x88be;
pub const ERSPAN_III: u16 = 0x22eb;
pub const ARUBA: u16 = 0x8200;

/// Outer headers, of which all but the link layer's are left to [`Tunnel::around`].
#[derive(Clone, Debug)]
pub enum Kind {
    IpInIp,
    Gre {
        has_checksum: bool,
        key: Option<u32>,
        has_sequence: bool,
    },
    Vxlan {
        vni: u32,
    },
    Geneve {
        vni: u32,
        options: usize,
    },
    /// Types I to III; the last byte of the header holds the bit that announces a subheader.
    Erspan {
        version: u8,
        session: u16,
        has_subheader: bool,
    },
    /// 802.11 in GRE: data, with a fourth address, QoS control and HT control.
    Wlan {
        has_fourth: bool,
        has_qos: bool,
        has_ht: bool,
    },
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

pub fn gre(protocol: u16, has_checksum: bool, key: Option<u32>, has_sequence: bool) -> Vec<u8> {
    let flags =
        u8::from(has_checksum) << 7 | u8::from(key.is_some()) << 5 | u8::from(has_sequence) << 4;
    let mut header = vec![flags, 0];
    header.extend(protocol.to_be_bytes());
    header.extend([0xab; 4].iter().filter(|_| has_checksum));
    header.extend(key.map(u32::to_be_bytes).into_iter().flatten());
    header.extend([0xcd; 4].iter().filter(|_| has_sequence));
    header
}

/// Of type II or III.
fn erspan(version: u8, session: u16, has_subheader: bool) -> Vec<u8> {
    // VLAN 291, class of service 5; not truncated.
    let [high, low] = (5 << 13 | session).to_be_bytes();
    let mut header = vec![(version - 1) << 4 | 1, 0x23, high, low, 0xaa, 0xaa, 0xaa, 0xaa];
    if version == 3 {
        // Everything but the frame type.
        header.extend([0xaa, 0xaa, 0x83, 0xfe | u8::from(has_subheader)]);
        header.extend([0xbb; 8].iter().filter(|_| has_subheader));
    }
    header
}

fn wlan(carried: u16, has_fourth: bool, has_qos: bool, has_ht: bool) -> Vec<u8> {
    let kind = 0x08 | u8::from(has_qos) << 7;
    // What else is set: a retry, power management, more data.
    let flags = if has_fourth { 3 } else { 2 } | 0x38 | u8::from(has_ht) << 7;
    let mut header = vec![kind, flags, 0xff, 0xff];
    // Three addresses, and fragment 0.
    header.extend([0xcc; 18]);
    header.extend([0xf0, 0xff]);
    header.extend([0xdd; 6].iter().filter(|_| has_fourth));
    header.extend([0x7f, 0xff].iter().filter(|_| has_qos));
    // Without QoS the bit means something else (802.11, section 9.2.4.1.10).
    header.extend([0xee; 4].iter().filter(|_| has_qos && has_ht));
    header.extend([0xaa, 0xaa, 3, 0, 0, 0]);
    header.extend(carried.to_be_bytes());
    header
}

impl Tunnel {
    /// The tunnel's own headers, and what cuts in them are called.
    fn headers(&self, carried: u16) -> Vec<(Vec<u8>, Reason)> {
        let [high, low] = carried.to_be_bytes();
        match self.kind {
            Kind::IpInIp => Vec::new(),
            Kind::Gre { has_checksum, key, has_sequence } => {
                vec![(gre(carried, has_checksum, key, has_sequence), Reason::TruncatedGre)]
            }
            Kind::Vxlan { vni } => {
                let header = [[8, 0, 0, 0], (vni << 8).to_be_bytes()].concat();
                vec![(header, Reason::TruncatedVxlan)]
            }
            Kind::Geneve { vni, options } => {
                let mut header = vec![options as u8, 0, high, low];
                header.extend((vni << 8).to_be_bytes());
                header.resize(8 + 4 * options, 0x77);
                vec![(header, Reason::TruncatedGeneve)]
            }
            Kind::Erspan { version: 1, .. } => {
                vec![(gre(ERSPAN, false, None, false), Reason::TruncatedGre)]
            }
            Kind::Erspan { version, session, has_subheader } => {
                let protocol = if version == 2 { ERSPAN } else { ERSPAN_III };
                vec![
                    (gre(protocol, false, None, true), Reason::TruncatedGre),
                    (erspan(version, session, has_subheader), Reason::TruncatedErspan),
                ]
            }
            Kind::Wlan { has_fourth, has_qos, has_ht } => {
                let header = wlan(carried, has_fourth, has_qos, has_ht);
                vec![
                    (gre(ARUBA, false, None, false), Reason::TruncatedGre),
                    (header, Reason::TruncatedWlan),
                ]
            }
        }
    }

    pub fn id(&self) -> u32 {
        match self.kind {
            Kind::IpInIp => tunnel::IP_IN_IP,
            Kind::Gre { key: None, .. } | Kind::Wlan { .. } => tunnel::GRE,
            Kind::Gre { key: Some(key), .. } => tunnel::gre_key(key),
            Kind::Vxlan { vni } => tunnel::vxlan(vni),
            Kind::Geneve { vni, .. } => tunnel::geneve(vni),
            Kind::Erspan { version: 1, .. } => tunnel::ERSPAN,
            Kind::Erspan { session, .. } => tunnel::erspan(session),
        }
    }

    /// Does it carry Ethernet, rather than IP directly?
    fn carries_ethernet(&self) -> bool {
        match self.kind {
            Kind::IpInIp | Kind::Wlan { .. } => false,
            Kind::Vxlan { .. } | Kind::Erspan { .. } => true,
            Kind::Gre { .. } | Kind::Geneve { .. } => self.has_ethernet,
        }
    }

    pub fn around(&self, inner: &Tunnelled) -> Tunnelled {
        let link = inner.link_length();
        let version = inner.bytes[link] >> 4;
        let (stripped, carried) =
            if self.carries_ethernet() { (0, 0x6558) } else { (link, ethertype(version)) };
        let headers = self.headers(carried);
        let header: Vec<u8> = headers.iter().flat_map(|(header, _)| header.clone()).collect();
        let payload = [&header, &inner.bytes[stripped..]].concat();
        let (protocol, payload) = match self.kind {
            Kind::IpInIp => (if version == 4 { 4 } else { 41 }, payload),
            Kind::Gre { .. } | Kind::Erspan { .. } | Kind::Wlan { .. } => (GRE, payload),
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
        parts.push((behind_udp, Reason::TruncatedUdp));
        let mut end = behind_udp;
        parts.extend(headers.iter().map(|(header, cut)| {
            end += header.len();
            (end, *cut)
        }));
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
        (1_u8..=3, 0_u16..1024, any::<bool>()).prop_map(|(version, session, has_subheader)| {
            Kind::Erspan { version, session, has_subheader }
        }),
        any::<[bool; 3]>().prop_map(|[has_fourth, has_qos, has_ht]| Kind::Wlan {
            has_fourth,
            has_qos,
            has_ht
        }),
    ];
    (kind, prop_oneof![Just(4), Just(6)], any::<bool>())
        .prop_map(|(kind, version, has_ethernet)| Tunnel { kind, version, has_ethernet })
}
