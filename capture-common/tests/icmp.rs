//! What ICMP errors quote: the cases that random frames seldom hit.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use capture_common::{
    parse::{Packet, depth, layers, parse},
    reason::Reason,
};

/// An IPv6 packet with this next header.
fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend([0x20; 16]);
    packet.extend([0x30; 16]);
    packet.extend(payload);
    packet
}

/// An ICMPv6 redirect (RFC 4861, section 4.5) with these options.
fn redirect(options: &[u8]) -> Vec<u8> {
    let message = [&[137, 0, 0, 0, 0, 0, 0, 0], &[0xfe; 32][..], options].concat();
    let mut frame = vec![0; 12];
    frame.extend([0x86, 0xdd]);
    frame.extend(ipv6(58, &message));
    frame
}

/// The option with the packet: UDP from port 1000 to 53 (RFC 4861, section 4.6.3).
fn redirected() -> Vec<u8> {
    let quoted = ipv6(17, &[0x03, 0xe8, 0, 53, 0, 8, 0, 0]);
    let units = (8 + quoted.len() / 8 * 8) as u8 / 8;
    [&[4, units, 0, 0, 0, 0, 0, 0], &quoted[..]].concat()
}

/// The target's link-layer address (RFC 4861, section 4.6.1).
const LINK_LAYER: [u8; 8] = [2, 1, 2, 0, 0, 0, 0, 1];

fn parsed(frame: &[u8]) -> (Packet, Result<(), Reason>) {
    let mut packet = Packet::default();
    let result = parse(frame, frame.len() as u32, &mut packet);
    (packet, result)
}

#[test]
fn a_redirect_quotes_the_packet_in_its_option() {
    let alone = redirect(&redirected());
    let behind = redirect(&[&LINK_LAYER[..], &redirected()].concat());
    for frame in [alone, behind] {
        let (packet, result) = parsed(&frame);
        assert_eq!(result, Ok(()));
        assert!(packet.has(layers::QUOTE));
        let quote = packet.quote;
        assert_eq!((quote.source_port, quote.destination_port), (1000, 53));
        assert_eq!((quote.protocol, quote.source[0], quote.destination[0]), (17, 0x20, 0x30));
    }
}

#[test]
fn a_redirect_need_not_quote() {
    for options in [&[][..], &LINK_LAYER] {
        let (packet, result) = parsed(&redirect(options));
        assert_eq!(result, Ok(()));
        assert!(!packet.has(layers::QUOTE) && packet.depth == depth::TRANSPORT);
    }
}

#[test]
fn options_that_lie_are_no_quote() {
    let (packet, result) = parsed(&redirect(&[2, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(result, Err(Reason::BadQuote));
    assert!(!packet.has(layers::QUOTE));
    // An option that says that it ends inside of the packet that it holds.
    let mut short = redirected();
    short[1] = 2;
    assert_eq!(parsed(&redirect(&short)).1, Err(Reason::TruncatedQuote));
    // A message that ends there.
    let whole = redirect(&redirected());
    // The ports must be there, the last four bytes of the eight behind them need not.
    for end in 0..whole.len() - 4 {
        assert!(!parsed(&whole[..end]).0.has(layers::QUOTE), "{end}");
    }
}
