//! Valid frames of which is known what they hold, and etherparse to ask about them.

use capture_common::{parse::Packet, reason::Reason};
use etherparse::{NetSlice, TransportSlice};
use proptest::{collection::vec, prelude::*};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FRAGMENT_HEADER: u8 = 44;
/// Of VXLAN and GENEVE.
const TUNNEL_PORTS: [u16; 2] = [4789, 6081];

/// A part of a frame: where it ends, and what a cut before its end is called.
pub type Part = (usize, Reason);

/// A valid frame and what is known of it by construction.
#[derive(Clone, Debug)]
pub struct Frame {
    pub bytes: Vec<u8>,
    pub parts: Vec<Part>,
    pub version: u8,
    pub protocol: u8,
    pub vlans: u8,
    /// More fragments follow, but this is the first.
    pub is_first_fragment: bool,
    pub is_later_fragment: bool,
}

impl Frame {
    /// What the parser has to say of the first `length` bytes.
    pub fn expected(&self, length: usize) -> Result<(), Reason> {
        let is_short = |part: &&Part| length < part.0;
        match self.parts.iter().find(is_short) {
            Some((_, reason)) => Err(*reason),
            None if self.is_later_fragment => Err(Reason::Fragment),
            None => Ok(()),
        }
    }
}

/// A transport header with payload, its protocol, and how much of it the parser needs.
fn transport(version: u8) -> impl Strategy<Value = (u8, Vec<u8>, usize, Reason)> {
    let payload = || vec(any::<u8>(), 0..40);
    let tcp = (any::<[u8; 20]>(), 0_u8..=10, payload()).prop_map(|(mut header, words, payload)| {
        header[12] = (5 + words) << 4 | header[12] & 0x0f;
        let mut bytes = header.to_vec();
        bytes.resize(20 + usize::from(words) * 4, 1);
        bytes.extend(payload);
        (TCP, bytes, 20, Reason::TruncatedTcp)
    });
    let udp = (any::<[u8; 4]>(), payload()).prop_map(|(mut ports, payload)| {
        if TUNNEL_PORTS.contains(&u16::from_be_bytes([ports[2], ports[3]])) {
            ports[2] = 0;
        }
        let length = 8 + payload.len() as u16;
        let bytes = [&ports[..], &length.to_be_bytes(), &[0, 0], &payload].concat();
        (UDP, bytes, 8, Reason::TruncatedUdp)
    });
    // Echo request: no quote.
    let (protocol, kind) = if version == 6 { (ICMPV6, 128) } else { (ICMP, 8) };
    let icmp = payload().prop_map(move |payload| {
        let bytes = [&[kind, 0, 0, 0, 0, 1, 0, 2][..], &payload].concat();
        (protocol, bytes, 8, Reason::TruncatedIcmp)
    });
    prop_oneof![tcp, udp, icmp]
}

/// Offset in units of 8 bytes, and whether more follow.
fn fragmentation() -> impl Strategy<Value = (u16, bool)> {
    prop_oneof![4 => Just((0, false)), 1 => Just((0, true)), 1 => (1_u16..0x1fff, any::<bool>())]
}

pub fn link(tags: &[u16], ethertype: u16) -> (Vec<u8>, Vec<Part>) {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let mut parts = vec![(14, Reason::TruncatedEthernet)];
    for (number, tag) in tags.iter().enumerate() {
        bytes.extend_from_slice(if number == 0 { &[0x88, 0xa8] } else { &[0x81, 0] });
        bytes.extend_from_slice(&tag.to_be_bytes());
        parts.push((14 + 4 * (number + 1), Reason::TruncatedVlan));
    }
    bytes.extend_from_slice(&ethertype.to_be_bytes());
    (bytes, parts)
}

fn ipv4() -> impl Strategy<Value = Frame> {
    let addresses = (any::<[u8; 8]>(), any::<u8>());
    let tags = vec(any::<u16>(), 0..=3);
    (tags, 0_usize..=10, addresses, fragmentation(), transport(4)).prop_map(
        |(tags, words, (addresses, ttl), (offset, more), (protocol, payload, needed, cut))| {
            let (mut bytes, mut parts) = link(&tags, 0x0800);
            let header = 20 + 4 * words;
            let total = (header + payload.len()) as u16;
            let fragment = offset | u16::from(more) << 13;
            bytes.extend_from_slice(&[0x40 | (header / 4) as u8, 0]);
            bytes.extend_from_slice(&total.to_be_bytes());
            bytes.extend_from_slice(&[0, 1]);
            bytes.extend_from_slice(&fragment.to_be_bytes());
            bytes.extend_from_slice(&[ttl, protocol, 0, 0]);
            bytes.extend_from_slice(&addresses);
            bytes.resize(bytes.len() + 4 * words, 1);
            parts.push((bytes.len(), Reason::TruncatedIpv4));
            finish(bytes, parts, 4, &tags, (protocol, payload, needed, cut), (offset, more))
        },
    )
}

/// An extension header in front of one of protocol `next`.
fn extension(protocol: u8, units: u8, (offset, more): (u16, bool), next: u8) -> Vec<u8> {
    if protocol == FRAGMENT_HEADER {
        let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
        return vec![next, 0, high, low, 0, 0, 0, 7];
    }
    let mut bytes = vec![next, units];
    bytes.resize((usize::from(units) + 1) * 8, 0);
    bytes
}

fn ipv6() -> impl Strategy<Value = Frame> {
    // In the recommended order (RFC 8200, section 4.1), which etherparse follows too.
    let present =
        (any::<[bool; 4]>(), any::<[u8; 4]>().prop_map(|units| units.map(|unit| unit % 4)));
    let addresses = (any::<[u8; 32]>(), any::<u8>());
    let tags = vec(any::<u16>(), 0..=3);
    (tags, present, addresses, fragmentation(), transport(6)).prop_map(
        |(tags, (present, units), (addresses, ttl), fragmentation, transport)| {
            let chain: Vec<(u8, u8)> = [0, 60, 43, FRAGMENT_HEADER]
                .into_iter()
                .zip(units)
                .zip(present)
                .filter_map(|(header, is_present)| is_present.then_some(header))
                .collect();
            let has_fragment = chain.iter().any(|header| header.0 == FRAGMENT_HEADER);
            let fragmentation = if has_fragment { fragmentation } else { (0, false) };
            let protocol = transport.0;
            let following = |number: usize| chain.get(number).map_or(protocol, |header| header.0);
            let headers: Vec<Vec<u8>> = chain
                .iter()
                .enumerate()
                .map(|(number, &(kind, units))| {
                    extension(kind, units, fragmentation, following(number + 1))
                })
                .collect();
            let (mut bytes, mut parts) = link(&tags, 0x86dd);
            let length = headers.concat().len() + transport.1.len();
            bytes.extend_from_slice(&[0x60, 0, 0, 0]);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
            bytes.extend_from_slice(&[following(0), ttl]);
            bytes.extend_from_slice(&addresses);
            parts.push((bytes.len(), Reason::TruncatedIpv6));
            for header in headers {
                bytes.extend_from_slice(&header);
                parts.push((bytes.len(), Reason::TruncatedIpv6Extension));
            }
            finish(bytes, parts, 6, &tags, transport, fragmentation)
        },
    )
}

fn finish(
    mut bytes: Vec<u8>,
    mut parts: Vec<Part>,
    version: u8,
    tags: &[u16],
    (protocol, payload, needed, cut): (u8, Vec<u8>, usize, Reason),
    (offset, more): (u16, bool),
) -> Frame {
    if offset == 0 {
        parts.push((bytes.len() + needed, cut));
    }
    bytes.extend(payload);
    Frame {
        bytes,
        parts,
        version,
        protocol,
        vlans: tags.len() as u8,
        is_first_fragment: offset == 0 && more,
        is_later_fragment: offset != 0,
    }
}

pub fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![ipv4(), ipv6()]
}

pub fn mapped(address: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets()
}

/// Source, destination, hop limit, protocol and whether it is a fragment, as etherparse sees it.
pub fn network(net: &NetSlice<'_>) -> ([u8; 16], [u8; 16], u8, u8, bool) {
    match net {
        NetSlice::Ipv4(ip) => (
            mapped(ip.header().source()),
            mapped(ip.header().destination()),
            ip.header().ttl(),
            ip.payload().ip_number.0,
            ip.payload().fragmented,
        ),
        NetSlice::Ipv6(ip) => (
            ip.header().source(),
            ip.header().destination(),
            ip.header().hop_limit(),
            ip.payload().ip_number.0,
            ip.payload().fragmented,
        ),
        NetSlice::Arp(_) => panic!("the generator makes no ARP"),
    }
}

pub fn same_transport(
    packet: &Packet,
    transport: &TransportSlice<'_>,
) -> Result<(), TestCaseError> {
    let ports = (packet.source_port, packet.destination_port);
    match transport {
        TransportSlice::Tcp(tcp) => {
            prop_assert_eq!(ports, (tcp.source_port(), tcp.destination_port()));
            let segment = packet.segment;
            prop_assert_eq!(segment.sequence, tcp.sequence_number());
            prop_assert_eq!(segment.acknowledgment, tcp.acknowledgment_number());
            prop_assert_eq!(segment.window, tcp.window_size());
            prop_assert_eq!(segment.length as usize, tcp.payload().len());
            prop_assert_eq!(segment.flags, tcp.slice()[13]);
        }
        TransportSlice::Udp(udp) => {
            prop_assert_eq!(ports, (udp.source_port(), udp.destination_port()));
        }
        TransportSlice::Icmpv4(icmp) => {
            prop_assert_eq!((packet.icmp_type, packet.icmp_code), (icmp.type_u8(), icmp.code_u8()));
        }
        TransportSlice::Icmpv6(icmp) => {
            prop_assert_eq!((packet.icmp_type, packet.icmp_code), (icmp.type_u8(), icmp.code_u8()));
        }
        TransportSlice::Igmp(_) => panic!("the generator makes no IGMP"),
    }
    Ok(())
}
