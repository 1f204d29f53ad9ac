//! The parser against etherparse on valid frames, and against its own promises on damaged ones.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod frames;

use capture_common::parse::{Packet, Quote, depth, layers, parse};
use capture_common::reason::Reason;
use etherparse::SlicedPacket;
use frames::{frame, network, same_transport};
use proptest::{collection::vec, prelude::*};

const TCP: u8 = 6;

fn parsed(frame: &[u8]) -> (Packet, Result<(), Reason>) {
    let mut packet = Packet::default();
    let result = parse(frame, frame.len() as u32, &mut packet);
    if !packet.has(layers::QUOTE) {
        packet.quote = Quote::default();
    }
    (packet, result)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn valid_frames_parse_as_in_etherparse(frame in frame()) {
        let (packet, result) = parsed(&frame.bytes);
        prop_assert_eq!(result, frame.expected(frame.bytes.len()));
        let other = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let found = (
            packet.source,
            packet.destination,
            packet.ttl,
            packet.protocol,
            packet.has(layers::FRAGMENT),
        );
        prop_assert_eq!(found, network(other.net.as_ref().unwrap()));
        prop_assert_eq!(packet.protocol, frame.protocol);
        prop_assert_eq!(usize::from(packet.vlans), other.link_exts.len());
        prop_assert_eq!((packet.vlans, packet.ip_version), (frame.vlans, frame.version));
        prop_assert_eq!(packet.network_end as usize, frame.bytes.len());
        // etherparse leaves the payload of every fragment alone.
        let is_fragment = frame.is_first_fragment || frame.is_later_fragment;
        prop_assert_eq!(other.transport.is_none(), is_fragment);
        if let Some(transport) = &other.transport {
            prop_assert_eq!(packet.depth, depth::TRANSPORT);
            same_transport(&packet, transport)?;
        }
    }

    /// Also: what was found before the cut does not depend on what comes behind.
    #[test]
    fn every_cut_has_its_reason(frame in frame()) {
        for length in 0..frame.bytes.len() {
            let (_, result) = parsed(&frame.bytes[..length]);
            prop_assert_eq!(result, frame.expected(length), "{} bytes of {:?}", length, frame);
        }
    }

    /// Ethernet pads short frames with whatever the sender has at hand: behind the length that the
    /// IP header states nothing counts, not even where that length cuts a header.
    #[test]
    fn padding_changes_nothing(
        frame in frame(),
        stated in 0_u16..120,
        paddings in any::<[[u8; 32]; 2]>(),
    ) {
        let mut bytes = frame.bytes;
        let network = 14 + 4 * usize::from(frame.vlans);
        let field = network + if frame.version == 6 { 4 } else { 2 };
        bytes[field..field + 2].copy_from_slice(&stated.to_be_bytes());
        bytes.extend_from_slice(&paddings[0]);
        let first = parsed(&bytes);
        let end = first.0.network_end as usize;
        // 0: stopped at a header whose length is not valid.
        if end != 0 && end < bytes.len() {
            for (byte, other) in bytes[end..].iter_mut().zip(paddings[1].iter().cycle()) {
                *byte = *other;
            }
            prop_assert_eq!(first, parsed(&bytes), "stated {}, {:02x?}", stated, bytes);
        }
    }

    /// A frame that is shorter than its IP header states, as tools write them that forget how long
    /// it was before they cut it: the rest was never there. One that was cut by a capture that says
    /// so keeps its length.
    #[test]
    fn payload_ends_with_the_frame_on_the_wire(frame in frame(), keep: prop::sample::Index) {
        let (whole, result) = parsed(&frame.bytes);
        if result.is_err() || whole.protocol != TCP {
            return Ok(()); // Not refused: that would be most of them.
        }
        let payload = frame.bytes.len() - whole.segment.length as usize;
        let length = payload + keep.index(whole.segment.length as usize + 1);
        let (packet, _) = parsed(&frame.bytes[..length]);
        prop_assert_eq!(packet.segment.length as usize, length - payload);
        let mut packet = Packet::default();
        let _parsed = parse(&frame.bytes[..length], frame.bytes.len() as u32, &mut packet);
        prop_assert_eq!(packet.segment.length, whole.segment.length);
    }

    #[test]
    fn noise_is_parsed_without_panic(
        noise in vec(any::<u8>(), 0..200),
        ethertype in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x8100, 0x8847, 0x8864]),
        length: u32,
    ) {
        let mut bytes = noise;
        if let Some(field) = bytes.get_mut(12..14) {
            field.copy_from_slice(&ethertype.to_be_bytes());
        }
        let mut packet = Packet::default();
        let result = parse(&bytes[..], length, &mut packet);
        prop_assert_eq!(result.is_ok(), packet.depth == depth::TRANSPORT);
        if result.is_ok() {
            prop_assert!(usize::from(packet.transport_offset) + 8 <= bytes.len());
        }
    }
}
