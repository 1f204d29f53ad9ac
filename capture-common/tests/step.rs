//! Cases of the TCP step that are rare on the wire; the common ones are compared with tshark, frame
//! by frame, in `capture-user`.

use capture_common::{
    class::Class,
    flow::{Conversation, Seen, Segment, Side, Sight, tcp_flags::*},
};

const MILLISECOND: u64 = 1_000_000;
const INTERFACE: u32 = 1;

/// A conversation and the time.
struct Tap {
    conversation: Conversation,
    now: u64,
}

impl Tap {
    fn new() -> Self {
        Self { conversation: Conversation::NEW, now: 1_000 * MILLISECOND }
    }

    /// A segment passes: sequence number, length, acknowledgment number, window, flags.
    fn see(
        &mut self,
        side: Side,
        (sequence, length, acknowledgment, window, flags): (u32, u32, u32, u16, u8),
    ) -> Vec<Class> {
        self.now += MILLISECOND;
        let segment =
            Segment { sequence, acknowledgment, length, window, flags, ..Segment::default() };
        let sight = Sight { now: self.now, ifindex: INTERFACE, frames: 1, ..Sight::default() };
        let mut seen = Seen::default();
        self.conversation.observe(side, &segment, &sight, &mut seen);
        seen.classes.iter().collect()
    }
}

/// Rule 10: an ACK of more than was seen (here: of a probe's byte) makes the next resent segment a
/// fast retransmission, even when one duplicate ACK has been counted already.
#[test]
fn an_unseen_segment_counts_more_than_one_duplicate_ack() {
    let mut tap = Tap::new();
    assert_eq!(tap.see(Side::Low, (100, 100, 50, 0, ACK)), [Class::ZeroWindow]);
    assert_eq!(tap.see(Side::High, (50, 0, 150, 500, ACK)), []);
    assert_eq!(tap.see(Side::High, (50, 1, 150, 500, ACK)), [Class::ZeroWindowProbe]);
    assert_eq!(tap.see(Side::High, (50, 0, 150, 500, ACK)), [Class::DuplicateAck]);
    let resent = tap.see(Side::Low, (150, 50, 51, 0, ACK));
    assert_eq!(resent, [Class::FastRetransmission, Class::ZeroWindow]);
}

/// The same without the probe: one duplicate ACK is too few.
#[test]
fn one_duplicate_ack_makes_no_fast_retransmission() {
    let mut tap = Tap::new();
    tap.see(Side::Low, (100, 100, 50, 500, ACK));
    tap.see(Side::High, (50, 0, 150, 500, ACK));
    assert_eq!(tap.see(Side::High, (50, 0, 150, 500, ACK)), [Class::DuplicateAck]);
    assert_eq!(tap.see(Side::Low, (150, 50, 50, 500, ACK)), [Class::Retransmission]);
}

/// Rule 13: a time before that of the SYN is no round-trip time; the next ACK tells it.
#[test]
fn a_clock_that_goes_backwards_tells_no_round_trip_time() {
    let mut tap = Tap::new();
    tap.see(Side::Low, (99, 0, 0, 500, SYN));
    tap.now -= 10 * MILLISECOND;
    tap.see(Side::Low, (100, 0, 50, 500, ACK));
    assert_eq!(tap.conversation.initial_rtt, 0);
    tap.now += 20 * MILLISECOND;
    tap.see(Side::Low, (100, 10, 50, 500, ACK));
    assert_eq!(tap.conversation.initial_rtt, 12 * MILLISECOND);
}
