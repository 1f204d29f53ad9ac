//! What tunnels carry: against etherparse on valid frames, and against the parser's own promises on
//! damaged ones.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod frames;
mod only_in_gre;
mod tunnel_frames;

use capture_common::{
    flow::FlowKey,
    parse::{Packet, Quote, depth, layers, parse, parse_inner},
    reason::Reason,
};
use etherparse::SlicedPacket;
use frames::{frame, network, same_transport};
use proptest::{collection::vec, prelude::*};
use tunnel_frames::{
    ERSPAN, GENEVE, GRE, Kind, Tunnel, Tunnelled, VXLAN, ethernet, gre, ip, tunnel_around, udp,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Outer and inner packet, and the result for the whole.
fn parsed(frame: &[u8]) -> (Packet, Packet, Result<(), Reason>) {
    let (mut outer, mut inner) = (Packet::default(), Packet::default());
    let mut result = parse(frame, frame.len() as u32, &mut outer);
    if outer.has(layers::TUNNEL) {
        assert_eq!(result, Ok(()), "a tunnel only where nothing was wrong before");
        // What an earlier frame left behind must not shine through.
        inner = Packet { source: [9; 16], tunnel: 9, layers: 0xff, depth: 9, ..inner };
        result = parse_inner(frame, frame.len() as u32, &outer, &mut inner);
    }
    if !inner.has(layers::QUOTE) {
        inner.quote = Quote::default();
    }
    (outer, inner, result)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn valid_tunnels_parse_as_in_etherparse(frame in frame(), tunnel in tunnel_around()) {
        let plain = Tunnelled::from(&frame);
        let tunnelled = tunnel.around(&plain);
        let (outer, inner, result) = parsed(&tunnelled.bytes);
        prop_assert_eq!(result, plain.result);
        prop_assert_eq!((outer.depth, outer.tunnel), (depth::TRANSPORT, 0));
        prop_assert_eq!(inner.tunnel, tunnel.id());
        prop_assert_eq!(FlowKey::of(&inner).0.tunnel, tunnel.id());
        let carried = &tunnelled.bytes[tunnelled.offset..];
        let has_ethernet = usize::from(inner.network_offset) != tunnelled.offset;
        let other = if has_ethernet {
            SlicedPacket::from_ethernet(carried).unwrap()
        } else {
            SlicedPacket::from_ip(carried).unwrap()
        };
        let found = (
            inner.source,
            inner.destination,
            inner.ttl,
            inner.protocol,
            inner.has(layers::FRAGMENT),
        );
        prop_assert_eq!(found, network(other.net.as_ref().unwrap()));
        prop_assert_eq!(usize::from(inner.vlans), other.link_exts.len());
        prop_assert_eq!(inner.vlans, if has_ethernet { frame.vlans } else { 0 });
        prop_assert_eq!((inner.ip_version, inner.protocol), (frame.version, frame.protocol));
        let is_fragment = frame.is_first_fragment || frame.is_later_fragment;
        prop_assert_eq!(inner.has(layers::FRAGMENT), is_fragment);
        prop_assert_eq!(inner.network_end as usize, tunnelled.bytes.len());
        if let Some(transport) = &other.transport {
            same_transport(&inner, transport)?;
        }
    }

    /// In one tunnel and in two.
    #[test]
    fn every_cut_has_its_reason(frame in frame(), tunnels in vec(tunnel_around(), 1..=2)) {
        let plain = Tunnelled::from(&frame);
        let tunnelled = tunnels.iter().fold(plain, |inner, tunnel| tunnel.around(&inner));
        for length in 0..=tunnelled.bytes.len() {
            let (_, inner, result) = parsed(&tunnelled.bytes[..length]);
            prop_assert_eq!(
                result, tunnelled.expected(length), "{} bytes of {:?}", length, tunnelled
            );
            if result.is_ok() {
                prop_assert_eq!(inner.tunnel, tunnelled.id);
            }
        }
    }

    /// Behind the end that the outer header states there is nothing, whatever lies there.
    #[test]
    fn nothing_is_read_past_the_stated_end(
        frame in frame(),
        tunnel in tunnel_around(),
        part in 0.0..1.0,
        is_udp_length: bool,
    ) {
        let tunnelled = tunnel.around(&Tunnelled::from(&frame));
        let is_udp = matches!(tunnel.kind, Kind::Vxlan { .. } | Kind::Geneve { .. });
        // From the end of the UDP header on: before, it is the outer parser's business.
        let header = tunnelled.header + if is_udp { 8 } else { 0 };
        let end = header + (part * (tunnelled.bytes.len() - header) as f64) as usize;
        let mut bytes = tunnelled.bytes.clone();
        let mut state = |field: usize, length: usize| {
            bytes[field..field + 2].copy_from_slice(&(length as u16).to_be_bytes());
        };
        if is_udp {
            state(tunnelled.header + 4, end - tunnelled.header);
        }
        if !is_udp || !is_udp_length {
            // An IPv6 payload of 0 would be a jumbogram.
            prop_assume!(tunnel.version == 4 || end > tunnelled.header);
            match tunnel.version {
                4 => state(14 + 2, end - 14),
                _ => state(14 + 4, end - tunnelled.header),
            }
        }
        let cut = parsed(&bytes[..end]);
        let whole = parsed(&bytes);
        prop_assert_eq!(whole.2, tunnelled.expected(end));
        prop_assert_eq!(whole, cut);
    }

    /// The first of several fragments holds the tunnel's header, but not all that it carries.
    #[test]
    fn fragmented_tunnels_are_not_followed(frame in frame(), tunnel in tunnel_around()) {
        let mut bytes = Tunnel { version: 4, ..tunnel }.around(&Tunnelled::from(&frame)).bytes;
        bytes[20] = 0x20;
        let (outer, inner, result) = parsed(&bytes);
        prop_assert_eq!(result, Err(Reason::FragmentedTunnel));
        prop_assert!(outer.has(layers::FRAGMENT));
        prop_assert_eq!(inner, Packet::default());
        bytes[21] = 1;
        prop_assert_eq!(parsed(&bytes).2, Err(Reason::Fragment));
    }

    #[test]
    fn more_tunnels_than_the_limit_are_not_followed(
        frame in frame(),
        tunnels in vec(tunnel_around(), 3..5),
    ) {
        let plain = Tunnelled::from(&frame);
        let tunnelled = tunnels.iter().fold(plain, |inner, tunnel| tunnel.around(&inner));
        let (_, inner, result) = parsed(&tunnelled.bytes);
        prop_assert_eq!(result, Err(Reason::TooManyTunnels));
        prop_assert!(inner.protocol != TCP);
    }

    #[test]
    fn noise_is_parsed_without_panic(
        frame in frame(),
        tunnels in vec(tunnel_around(), 1..=3),
        noise in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut: prop::sample::Index,
        length: u32,
    ) {
        let plain = Tunnelled::from(&frame);
        let mut bytes = tunnels.iter().fold(plain, |inner, tunnel| tunnel.around(&inner)).bytes;
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let (_, inner, result) = parsed(&bytes);
        if result.is_ok() && inner.depth != depth::NONE {
            prop_assert_eq!(inner.depth, depth::TRANSPORT);
            prop_assert!(usize::from(inner.transport_offset) + 8 <= bytes.len());
        }
        let (mut outer, mut inner) = (Packet::default(), Packet::default());
        if parse(&bytes[..], length, &mut outer).is_ok() && outer.has(layers::TUNNEL) {
            let _any = parse_inner(&bytes[..], length, &outer, &mut inner);
        }
    }
}

fn tcp() -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0xff, 0];
    segment.resize(40, 0);
    segment
}

/// `rest` behind an outer IPv4 header.
fn v4(protocol: u8, rest: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ip(4, protocol, rest))
}

fn result(frame: &[u8]) -> Result<(), Reason> {
    parsed(frame).2
}

#[test]
fn gre_that_is_not_followed_has_its_reason() {
    let with = |start: [u8; 4], payload: &[u8]| v4(GRE, &[&start[..], payload].concat());
    let inner = ip(4, TCP, &tcp());
    assert_eq!(result(&with([0, 0, 8, 0], &inner)), Ok(()));
    // Reserved, to be ignored.
    assert_eq!(result(&with([3, 0xf8, 8, 0], &inner)), Ok(()));
    for flags in [0x40, 0x08, 0x04] {
        assert_eq!(result(&with([flags, 0, 8, 0], &inner)), Err(Reason::BadGreHeader));
    }
    // PPTP: RFC 2637, section 4.1.
    assert_eq!(result(&with([0x30, 1, 0x88, 0x0b], &inner)), Err(Reason::BadGreHeader));
    assert_eq!(result(&with([0, 0, 0x20, 1], &inner)), Err(Reason::TunnelNotIp));
    // Says IPv6, holds IPv4.
    assert_eq!(result(&with([0, 0, 0x86, 0xdd], &inner)), Err(Reason::BadIpv6Header));
}

/// A mirrored frame behind a header of ERSPAN.
fn mirrored(protocol: u16, header: &[u8], frame: &[u8]) -> Vec<u8> {
    v4(GRE, &[&gre(protocol, false, None, true), header, frame].concat())
}

#[test]
fn labels_lie_in_gre_as_in_ethernet() {
    let labels = [0, 1, 0, 64, 0, 1, 1, 64];
    let payload = [&[0, 0, 0x88, 0x47][..], &labels, &ip(6, TCP, &tcp())].concat();
    let (_, inner, result) = parsed(&v4(GRE, &payload));
    assert_eq!((result, inner.ip_version, inner.destination_port), (Ok(()), 6, 80));
    assert!(inner.has(layers::MPLS));
}

#[test]
fn udp_to_the_port_of_a_tunnel_may_be_none() {
    let arp = ethernet(0x0806, &[0; 28]);
    let frame = ethernet(0x0800, &ip(4, TCP, &tcp()));
    let vxlan = |flags, payload: &[u8]| {
        let header = [flags, 0, 0, 0, 0, 0, 42, 0];
        v4(UDP, &udp(VXLAN, &[&header[..], payload].concat()))
    };
    assert_eq!(result(&vxlan(8, &frame)), Ok(()));
    assert_eq!(result(&vxlan(0xff, &frame)), Ok(()), "other flags are to be ignored");
    assert_eq!(result(&vxlan(8, &arp)), Err(Reason::NotIp));
    assert_eq!(result(&v4(UDP, &udp(VXLAN, b"hello"))), Err(Reason::TruncatedVxlan));
    let (outer, inner, result) = parsed(&vxlan(0xf7, &frame));
    assert_eq!(result, Err(Reason::BadVxlanHeader));
    assert_eq!((outer.depth, outer.destination_port), (depth::TRANSPORT, VXLAN));
    assert_eq!(inner, Packet::default());
}

#[test]
fn geneve_that_is_not_followed_has_its_reason() {
    let geneve = |start: [u8; 4]| {
        let header = [&start[..], &[0, 0, 42, 0], &ip(4, TCP, &tcp())].concat();
        result(&v4(UDP, &udp(GENEVE, &header)))
    };
    assert_eq!(geneve([0, 0, 8, 0]), Ok(()));
    assert_eq!(geneve([0, 0x40, 8, 0]), Ok(()), "critical options are for the tunnel's end");
    assert_eq!(geneve([0x40, 0, 8, 0]), Err(Reason::BadGeneveHeader));
    assert_eq!(geneve([0, 0x80, 8, 0]), Err(Reason::TunnelNotIp), "a control message");
    assert_eq!(geneve([0, 0, 0x88, 0x0b]), Err(Reason::TunnelNotIp));
    assert_eq!(geneve([63, 0, 8, 0]), Err(Reason::TruncatedGeneve));
}

#[test]
fn the_source_port_makes_no_tunnel() {
    for port in [VXLAN, GENEVE] {
        let mut datagram = udp(53, &[8, 0, 0, 0, 0, 0, 42, 0]);
        datagram[..2].copy_from_slice(&port.to_be_bytes());
        let (outer, _, result) = parsed(&v4(UDP, &datagram));
        assert_eq!(result, Ok(()));
        assert!(!outer.has(layers::TUNNEL));
    }
}

#[test]
fn fragments_in_tunnels_are_as_outside() {
    let fragment = |offset_and_more| {
        let header = [TCP, 0, 0, offset_and_more, 0, 0, 0, 7];
        let (_, inner, result) = parsed(&v4(41, &ip(6, 44, &[&header[..], &tcp()].concat())));
        (result, inner.has(layers::FRAGMENT), inner.destination_port)
    };
    assert_eq!(fragment(0), (Ok(()), false, 80), "an atomic fragment is none");
    assert_eq!(fragment(1), (Ok(()), true, 80));
    assert_eq!(fragment(8), (Err(Reason::Fragment), true, 0));
}

#[test]
fn both_directions_in_a_tunnel_have_one_key_and_other_tunnels_have_others() {
    let inner = |from: u8, to: u8, ports: [u8; 4]| {
        let mut packet = ip(4, TCP, &tcp());
        (packet[15], packet[19]) = (from, to);
        packet[20..24].copy_from_slice(&ports);
        packet[12..15].fill(10);
        packet[16..19].fill(10);
        packet
    };
    let there = inner(1, 2, [0x9c, 0x40, 0, 80]);
    let back = inner(2, 1, [0, 80, 0x9c, 0x40]);
    let key = |frame: &[u8]| FlowKey::of(&parsed(frame).1).0;
    let keyed =
        |key: u8, packet: &[u8]| v4(GRE, &[&[0x20, 0, 8, 0, 0, 0, 0, key][..], packet].concat());
    let vxlan = |vni: u8, packet: &[u8]| {
        let header = [8, 0, 0, 0, 0, 0, vni, 0];
        v4(UDP, &udp(VXLAN, &[&header[..], &ethernet(0x0800, packet)].concat()))
    };
    assert_eq!(key(&keyed(1, &there)), key(&keyed(1, &back)));
    assert_eq!(key(&vxlan(1, &there)), key(&vxlan(1, &back)));
    assert_eq!(key(&v4(4, &there)), key(&v4(4, &back)));
    let span = |session: u8, packet: &[u8]| {
        mirrored(ERSPAN, &[0x10, 0, 0, session, 0, 0, 0, 0], &ethernet(0x0800, packet))
    };
    assert_eq!(key(&span(1, &there)), key(&span(1, &back)));
    let all = [
        keyed(1, &there),
        keyed(2, &there),
        vxlan(1, &there),
        vxlan(2, &there),
        v4(4, &there),
        span(1, &there),
        span(2, &there),
    ]
    .map(|frame| key(&frame));
    for (number, one) in all.iter().enumerate() {
        assert!(!all[..number].contains(one), "{one:?}");
    }
}
