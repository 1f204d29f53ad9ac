//! What a conversation has shown, as a set of bits: those of [`Class`], and one more.

use super::Trouble;
use crate::class::{Class, Classes};

/// An ICMP or ICMPv6 error about it.
pub const ICMP_ERROR: u32 = 1 << Class::COUNT;
/// A SYN or SYN-ACK sent again.
pub const SYN_RETRANSMISSION: u32 =
    1 << Class::SynRetransmission as u32 | 1 << Class::SynAckRetransmission as u32;
/// A retransmission of any kind.
pub const RETRANSMISSION: u32 = Classes::RETRANSMISSIONS.0;
/// A segment that came after a later one.
pub const OUT_OF_ORDER: u32 = 1 << Class::OutOfOrder as u32;
/// An ACK of nothing new.
pub const DUPLICATE_ACK: u32 = 1 << Class::DuplicateAck as u32;
/// A hole in front of a segment.
pub const LOST_SEGMENT: u32 = 1 << Class::LostSegment as u32;
/// A closed window, or a probe of one.
pub const ZERO_WINDOW: u32 = 1 << Class::ZeroWindow as u32
    | 1 << Class::ZeroWindowProbe as u32
    | 1 << Class::ZeroWindowProbeAck as u32;
/// A reset.
pub const RESET: u32 = 1 << Class::Reset as u32;
/// Any of them.
pub const ANY: u32 =
    ICMP_ERROR | RETRANSMISSION | OUT_OF_ORDER | DUPLICATE_ACK | LOST_SEGMENT | ZERO_WINDOW | RESET;

impl Trouble {
    /// Bits of [`shown`](self): the trouble that either endpoint's packets were ever in, and
    /// [`ICMP_ERROR`] if there was an error about them.
    #[inline(always)]
    #[must_use]
    pub fn shown(&self) -> u32 {
        let mut shown = u32::from(self.icmp.count != 0) * ICMP_ERROR;
        for (number, (low, high)) in self.low.classes.iter().zip(&self.high.classes).enumerate() {
            shown |= u32::from(low | high != 0) << number;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flow::{FlowKey, Side, TroubleKey},
        parse::{Packet, depth, layers},
    };

    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const ICMP: u8 = 1;

    #[test]
    fn each_class_of_either_side_is_a_bit() {
        assert_eq!(Trouble::NEW.shown(), 0);
        for class in Class::ALL {
            let (mut low, mut high) = (Trouble::NEW, Trouble::NEW);
            low.low.classes[class as usize] = 1;
            high.high.classes[class as usize] = u32::MAX;
            assert_eq!([low.shown(), high.shown()], [1 << class as u32; 2], "{class:?}");
        }
    }

    #[test]
    fn everything_at_once_is_shown() {
        let mut trouble = Trouble::NEW;
        trouble.icmp.count = 3;
        assert_eq!(trouble.shown(), ICMP_ERROR);
        trouble.low.classes[Class::Retransmission as usize] = 2;
        trouble.high.classes[Class::Reset as usize] = 1;
        assert_eq!(trouble.shown(), ICMP_ERROR | RESET | 1 << Class::Retransmission as u32);
        assert_ne!(trouble.shown() & RETRANSMISSION, 0);
        assert_eq!(trouble.shown() & (OUT_OF_ORDER | ZERO_WINDOW | SYN_RETRANSMISSION), 0);
    }

    fn packet(protocol: u8) -> Packet {
        Packet {
            source: [1; 16],
            destination: [2; 16],
            source_port: 1000,
            destination_port: 53,
            tunnel: 9,
            depth: depth::TRANSPORT,
            protocol,
            ..Packet::default()
        }
    }

    #[test]
    fn a_packet_with_ports_has_the_key_of_its_conversation() {
        for protocol in [TCP, UDP] {
            let mut key = TroubleKey::default();
            assert_eq!(key.set(&packet(protocol)), Some(Side::Low));
            let (flow, _) = FlowKey::of(&packet(protocol));
            assert_eq!(key, TroubleKey { flow, protocol: protocol.into() });
        }
    }

    #[test]
    fn an_error_has_the_key_of_what_it_quotes() {
        let mut error = packet(ICMP);
        error.layers = layers::QUOTE;
        error.quote.source = [2; 16];
        error.quote.destination = [1; 16];
        (error.quote.source_port, error.quote.destination_port) = (53, 1000);
        error.quote.protocol = UDP;
        let (mut key, mut quoted) = (TroubleKey::default(), TroubleKey::default());
        assert_eq!(key.set(&error), Some(Side::High));
        assert_eq!(quoted.set(&packet(UDP)), Some(Side::Low));
        assert_eq!(key, quoted);
        (error.quote.source_port, error.quote.destination_port) = (0, 0);
        assert_eq!(key.set(&error), None, "a quote that begins behind the ports");
    }

    #[test]
    fn without_ports_there_is_no_conversation() {
        let mut key = TroubleKey::default();
        assert_eq!(key.set(&packet(ICMP)), None);
        assert_eq!(key.set(&Packet { depth: depth::NETWORK, ..packet(UDP) }), None);
    }
}
