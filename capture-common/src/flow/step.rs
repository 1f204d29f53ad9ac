//! The classification of a TCP segment, as Wireshark's TCP dissector does it with default
//! preferences. The numbers in the comments are those of the rules in `docs/tcp-analysis.md`.

use super::{DirectionState, Segment, conversation::direction_flags as state, tcp_flags::*};
use crate::class::{Class, Classes};

/// A duplicate count that stands for "an ACK of the other end has moved on, see rule 10"; counts
/// as two or more.
const PENDING: u8 = u8::MAX;
/// Rule 11b: a fast retransmission follows the last duplicate ACK within this time.
const FAST_RETRANSMISSION: u64 = 20_000_000;
/// Rule 11c: what is taken for the round-trip time while it is unknown.
const DEFAULT_RTT: u64 = 3_000_000;

/// Classifies a segment and updates the state of its direction (`forward`) and of the other
/// (`reverse`). `now` is in nanoseconds; a time before that of an earlier segment counts as
/// infinitely later.
#[inline(always)]
pub fn step(
    forward: &mut DirectionState,
    reverse: &mut DirectionState,
    syn_time: &mut u64,
    initial_rtt: &mut u64,
    segment: &Segment,
    now: u64,
) -> Classes {
    rebase(forward, reverse, syn_time, initial_rtt, segment);
    let mut classes = Classes::NONE;
    if segment.has(RST) {
        classes.insert(Class::Reset);
    }
    let last = classify_window(forward, reverse, segment, &mut classes);
    if segment.acknowledgment != forward.last_ack {
        forward.duplicates = 0; // 9
    }
    acknowledge(reverse, segment);
    if (segment.length > 0 || segment.has(SYN | FIN)) && last & state::KEEP_ALIVE == 0 {
        classify_resent(forward, reverse, *initial_rtt, segment, now, &mut classes);
    }
    remember(forward, segment, now, last);
    if segment.has(SYN) && !segment.has(ACK) {
        *syn_time = now; // 13
    } else if segment.has(ACK) && !segment.has(SYN) && *syn_time != 0 && *initial_rtt == 0 {
        *initial_rtt = now.saturating_sub(*syn_time);
    }
    classes
}

/// Rules 0 and 1: where the sequence numbers of both directions start.
#[inline(always)]
fn rebase(
    forward: &mut DirectionState,
    reverse: &mut DirectionState,
    syn_time: &mut u64,
    initial_rtt: &mut u64,
    segment: &Segment,
) {
    if segment.has(SYN) && forward.flags & state::BASE != 0 {
        if segment.has(ACK) {
            forward.base = segment.sequence;
        } else if segment.sequence == forward.base {
            forward.next = forward.max_ack;
        } else {
            let interfaces = (forward.ifindex, reverse.ifindex);
            *forward = DirectionState::default();
            *reverse = DirectionState::default();
            (forward.ifindex, reverse.ifindex) = interfaces;
            *syn_time = 0;
            *initial_rtt = 0;
        }
    }
    if forward.flags & state::BASE == 0 {
        forward.flags |= state::BASE;
        forward.base =
            if segment.has(SYN) { segment.sequence } else { segment.sequence.wrapping_sub(1) };
    }
    if reverse.flags & state::BASE == 0 && segment.has(ACK) {
        reverse.flags |= state::BASE;
        reverse.base = segment.acknowledgment.wrapping_sub(1);
    }
}

/// Rules 2 to 8: windows, holes, keep-alives and duplicate ACKs. Returns the flags to remember of
/// this segment.
#[inline(always)]
fn classify_window(
    forward: &mut DirectionState,
    reverse: &DirectionState,
    segment: &Segment,
    classes: &mut Classes,
) -> u8 {
    let is_plain = !segment.has(SYN | FIN | RST);
    let is_next = segment.sequence == forward.next;
    let reverse_is_closed = reverse.flags & state::WINDOW != 0 && reverse.window == 0;
    if segment.length == 1 && is_next && reverse_is_closed {
        classes.insert(Class::ZeroWindowProbe); // 2
        return state::ZERO_WINDOW_PROBE;
    }
    if segment.window == 0 && is_plain {
        classes.insert(Class::ZeroWindow); // 3
    }
    if forward.next != 0 && after(segment.sequence, forward.next) && !segment.has(RST) {
        classes.insert(Class::LostSegment); // 4
    }
    let mut last = 0;
    if segment.length <= 1 && segment.sequence == forward.next.wrapping_sub(1) && is_plain {
        classes.insert(Class::KeepAlive); // 5
        last = state::KEEP_ALIVE;
    }
    if segment.length == 0
        && is_next
        && segment.acknowledgment == forward.last_ack
        && is_plain
        && forward.flags & state::WINDOW != 0
    {
        classify_bare_ack(forward, reverse, segment, classes);
    } else if segment.length == 0
        && segment.window != 0
        && is_next
        && segment.acknowledgment == forward.last_ack
        && is_plain
    {
        classes.insert(Class::WindowUpdate); // 6, the first window of this direction
    }
    last
}

/// Rules 6 and 8, for a segment without data that says nothing new but perhaps a window.
#[inline(always)]
fn classify_bare_ack(
    forward: &mut DirectionState,
    reverse: &DirectionState,
    segment: &Segment,
    classes: &mut Classes,
) {
    if segment.window != forward.window {
        if segment.window != 0 {
            classes.insert(Class::WindowUpdate); // 6
        }
    } else if segment.window != 0 && reverse.flags & state::KEEP_ALIVE != 0 {
        classes.insert(Class::KeepAliveAck); // 8
    } else if segment.window == 0 && reverse.flags & state::ZERO_WINDOW_PROBE != 0 {
        classes.insert(Class::ZeroWindowProbeAck);
    } else if segment.window != 0 {
        classes.insert(Class::DuplicateAck);
        forward.duplicates = match forward.duplicates {
            PENDING => 1,
            count => count.saturating_add(1).min(PENDING - 1),
        };
    }
}

/// Rule 10: an ACK of more than was seen without a hole.
#[inline(always)]
fn acknowledge(reverse: &mut DirectionState, segment: &Segment) {
    if !segment.has(ACK) || reverse.max_ack == 0 || !after(segment.acknowledgment, reverse.max_ack)
    {
        return;
    }
    if after(reverse.next, reverse.max_ack) {
        reverse.max_ack = reverse.next;
    } else {
        reverse.duplicates = PENDING;
    }
}

/// Rule 11: was it sent before?
#[inline(always)]
fn classify_resent(
    forward: &DirectionState,
    reverse: &DirectionState,
    initial_rtt: u64,
    segment: &Segment,
    now: u64,
    classes: &mut Classes,
) {
    let payload_end = segment.sequence.wrapping_add(segment.length);
    if segment.length > 0 && reverse.last_ack != 0 && !after(payload_end, reverse.last_ack) {
        classes.insert(Class::SpuriousRetransmission); // a
        return;
    }
    let is_old = forward.next != 0
        && after(forward.next, segment.sequence)
        && !(segment.length > 1 && segment.sequence == forward.next.wrapping_sub(1));
    if !is_old {
        return;
    }
    let rtt = if initial_rtt == 0 { DEFAULT_RTT } else { initial_rtt };
    if reverse.duplicates >= 2
        && segment.sequence == reverse.last_ack
        && elapsed(reverse.last_time, now) < FAST_RETRANSMISSION
    {
        classes.insert(Class::FastRetransmission); // b
    } else if elapsed(forward.next_time, now) < rtt && segment.end() != forward.next {
        classes.insert(Class::OutOfOrder); // c
    } else if segment.has(SYN) {
        classes.insert(if segment.has(ACK) {
            Class::SynAckRetransmission
        } else {
            Class::SynRetransmission
        });
    } else {
        classes.insert(Class::Retransmission); // d
    }
}

/// Rule 12: what later segments are compared with.
#[inline(always)]
fn remember(forward: &mut DirectionState, segment: &Segment, now: u64, last: u8) {
    if last & state::ZERO_WINDOW_PROBE == 0 {
        let end = segment.end();
        if forward.next == 0 || after(end, forward.next) {
            forward.next = end;
            forward.next_time = now;
        }
        if forward.max_ack == 0 || segment.sequence == forward.max_ack {
            forward.max_ack = forward.next;
        }
    }
    forward.window = segment.window;
    forward.last_ack = segment.acknowledgment;
    forward.last_time = now;
    let mut ends = forward.flags & (state::FIN | state::RST);
    if segment.has(FIN) {
        ends |= state::FIN;
    }
    if segment.has(RST) {
        ends |= state::RST;
    }
    forward.flags = state::BASE | state::WINDOW | last | ends;
}

/// Serial comparison of sequence numbers (RFC 1982): the sign of the 32-bit difference.
#[inline(always)]
const fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// Time that has passed; infinite if the clock went backwards.
#[inline(always)]
const fn elapsed(since: u64, now: u64) -> u64 {
    if now < since { u64::MAX } else { now - since }
}
