//! The state of a conversation: constant size, one map entry for both directions.

use super::{Segment, Side, step, tcp_flags};
use crate::{
    class::{Class, Classes},
    parse::recall,
};

/// Bits of [`DirectionState::flags`].
pub(super) mod direction_flags {
    /// `base` is known.
    pub const BASE: u8 = 1 << 0;
    /// The last segment was a keep-alive.
    pub const KEEP_ALIVE: u8 = 1 << 1;
    /// The last segment was a zero window probe.
    pub const ZERO_WINDOW_PROBE: u8 = 1 << 2;
    /// `window` is known.
    pub const WINDOW: u8 = 1 << 3;
    /// A FIN was sent; stays.
    pub const FIN: u8 = 1 << 4;
    /// A RST was sent; stays.
    pub const RST: u8 = 1 << 5;
}

/// After this time (nanoseconds) without a segment of a direction on the interface that owns its
/// state, another interface that sees the direction takes it over: routing has changed.
pub const SIGHTING_TIMEOUT: u64 = 3_000_000_000;

/// What is remembered of one direction. Sequence numbers are the sender's, acknowledgment numbers
/// those that the sender sent. 0 in `next`, `max_ack` and `last_ack` means "not seen yet".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionState {
    /// First sequence number (that of the SYN, or one before the first segment seen).
    pub base: u32,
    /// Highest sequence number seen, plus one.
    pub next: u32,
    /// Highest sequence number seen without a hole before it, plus one: the most that the other
    /// end can acknowledge without a segment having passed unseen.
    pub max_ack: u32,
    /// Last acknowledgment number sent.
    pub last_ack: u32,
    /// When `next` last rose, in nanoseconds of `CLOCK_MONOTONIC`.
    pub next_time: u64,
    /// When the last segment passed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub last_time: u64,
    /// Interface that saw the direction first and owns its state; 0 for none yet.
    pub ifindex: u32,
    /// Last window sent, raw.
    pub window: u16,
    /// Duplicate ACKs sent in a row, or "pending" (see [`step()`](super::step())).
    pub duplicates: u8,
    /// Bits of `direction_flags`.
    pub(super) flags: u8,
    /// Bytes of all frames, Ethernet header included.
    pub bytes: u64,
    /// Frames on the wire. Wraps.
    pub packets: u32,
    /// Longest time from the other end's last new data to this end's first data after it, in
    /// microseconds: how slowly this end answers.
    pub slowest_answer: u32,
    /// Keep-alives; stays at its maximum.
    pub keep_alives: u16,
    /// Window updates; stays at its maximum.
    pub window_updates: u16,
    /// Answers to keep-alives; stays at its maximum.
    pub keep_alive_acks: u8,
    /// SYNs and SYN-ACKs that came; stays at its maximum.
    pub syns: u8,
    /// SYNs and SYN-ACKs that were seen leaving this host; stays at its maximum.
    pub syns_left: u8,
    /// Time to live or hop limit of the last segment that was no RST; 0 for none yet.
    pub ttl: u8,
}

/// How and where a segment was seen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub now: u64,
    /// Kernel's index of the interface.
    pub ifindex: u32,
    /// Frames on the wire that it is: more than one for a super-packet.
    pub frames: u32,
    /// Length of the frame.
    pub bytes: u32,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// 1 if it was seen as it left this host, 0 if as it came.
    pub leaves: u8,
    /// Zero.
    pub padding: [u8; 2],
}

/// What [`Conversation::observe`] found.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The verdicts on the segment.
    pub classes: Classes,
    /// [`DirectionState::next`] before it.
    pub next_before: u32,
}

const _: () = assert!(size_of::<Sight>() == 24);
const _: () = assert!(size_of::<Seen>() == 8);

/// Value of the map [`FLOWS`](crate::abi::names::FLOWS).
///
/// The two directions may be processed on two CPUs at once. Each CPU then writes its own
/// direction and, of the other, only `base`, `max_ack` and `duplicates`; all are aligned and
/// written whole, so a race can cost one verdict on one segment but never damages the state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// From the lower endpoint of the key.
    pub low: DirectionState,
    /// From the higher endpoint of the key.
    pub high: DirectionState,
    /// When the last SYN without ACK passed, in nanoseconds of `CLOCK_MONOTONIC`; 0 for never.
    pub syn_time: u64,
    /// Time from the SYN to the ACK that completes the handshake, in nanoseconds; 0 for unknown.
    pub initial_rtt: u64,
    /// When the first segment passed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first_time: u64,
    /// The part of `initial_rtt` between this host and the end that was called: from the SYN to the
    /// SYN-ACK, in microseconds; 0 for unknown, which it stays if a SYN was sent again.
    pub server_rtt: u32,
    /// Which end opened the conversation: a value of [`opener`].
    pub opener: u8,
    /// Zero.
    pub padding: [u8; 3],
}

/// Values of [`Conversation::opener`].
pub mod opener {
    /// No SYN was seen.
    pub const UNKNOWN: u8 = 0;
    /// The lower endpoint.
    pub const LOW: u8 = 1;
    /// The higher endpoint.
    pub const HIGH: u8 = 2;
}

const _: () = assert!(size_of::<DirectionState>() == 64);
const _: () = assert!(size_of::<Conversation>() == 160);

impl DirectionState {
    /// Nothing seen yet.
    pub const NEW: Self = Self {
        base: 0,
        next: 0,
        max_ack: 0,
        last_ack: 0,
        next_time: 0,
        last_time: 0,
        ifindex: 0,
        window: 0,
        duplicates: 0,
        flags: 0,
        bytes: 0,
        packets: 0,
        slowest_answer: 0,
        keep_alives: 0,
        window_updates: 0,
        keep_alive_acks: 0,
        syns: 0,
        syns_left: 0,
        ttl: 0,
    };

    /// Has this end closed its side?
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.flags & direction_flags::FIN != 0
    }

    /// Has this end reset the connection?
    #[must_use]
    pub const fn has_reset(&self) -> bool {
        self.flags & direction_flags::RST != 0
    }

    /// The last window; `None` if nothing was sent yet.
    #[must_use]
    pub const fn last_window(&self) -> Option<u16> {
        if self.flags & direction_flags::WINDOW != 0 { Some(self.window) } else { None }
    }

    /// Bytes of payload sent, from the first segment seen to the highest sequence number; a SYN and a
    /// FIN count as one each.
    #[must_use]
    pub const fn sent(&self) -> u32 {
        if self.next == 0 { 0 } else { self.next.wrapping_sub(self.base) }
    }

    /// Of the bytes that `other` sent, how many this end has acknowledged, counted as in
    /// [`Self::sent`].
    #[must_use]
    pub const fn acknowledged(&self, other: &Self) -> u32 {
        if self.last_ack == 0 || other.flags & direction_flags::BASE == 0 {
            return 0;
        }
        self.last_ack.wrapping_sub(other.base)
    }

    /// Counts a segment of this direction.
    #[inline(always)]
    fn count(&mut self, segment: &Segment, classes: Classes, sight: &Sight) {
        self.bytes += u64::from(sight.bytes);
        self.packets = self.packets.wrapping_add(sight.frames);
        if !segment.has(tcp_flags::RST) {
            self.ttl = sight.ttl;
        }
        if segment.has(tcp_flags::SYN) {
            self.syns = self.syns.saturating_add(1);
            self.syns_left = self.syns_left.saturating_add(sight.leaves);
        }
        // What healthy connections have too is counted here and not in Trouble.
        if classes.is_empty() {
            return;
        }
        if classes.contains(Class::WindowUpdate) {
            self.window_updates = self.window_updates.saturating_add(1);
        }
        if classes.contains(Class::KeepAlive) {
            self.keep_alives = self.keep_alives.saturating_add(1);
        }
        if classes.contains(Class::KeepAliveAck) {
            self.keep_alive_acks = self.keep_alive_acks.saturating_add(1);
        }
    }
}

impl Conversation {
    /// Nothing seen yet.
    pub const NEW: Self = Self {
        low: DirectionState::NEW,
        high: DirectionState::NEW,
        syn_time: 0,
        initial_rtt: 0,
        first_time: 0,
        server_rtt: 0,
        opener: opener::UNKNOWN,
        padding: [0; 3],
    };

    /// Takes note of a segment sent by `side`, and classifies it. Nothing is seen in what is only
    /// another sighting: a direction's state belongs to the interface that saw it first.
    ///
    /// Leaves what it finds in memory of the caller's: see [`recall`].
    #[inline(always)]
    pub fn observe(&mut self, side: Side, segment: &Segment, sight: &Sight, seen: &mut Seen) {
        seen.classes = Classes::NONE;
        let (ifindex, now) = (sight.ifindex, sight.now);
        let (forward, reverse) = match side {
            Side::Low => (&mut self.low, &mut self.high),
            Side::High => (&mut self.high, &mut self.low),
        };
        if forward.ifindex != ifindex {
            let is_owned =
                forward.ifindex != 0 && now.saturating_sub(forward.last_time) < SIGHTING_TIMEOUT;
            if is_owned {
                return;
            }
            forward.ifindex = ifindex;
        }
        let rose_before = forward.next_time;
        seen.next_before = forward.next;
        seen.classes =
            step(forward, reverse, &mut self.syn_time, &mut self.initial_rtt, segment, now);
        if segment.length > 0 && forward.next_time != rose_before {
            let asked = reverse.next_time;
            if asked > rose_before && asked < now {
                forward.slowest_answer = forward.slowest_answer.max(microseconds(now - asked));
            }
        }
        forward.count(segment, recall(&seen.classes), sight);
        if self.first_time == 0 {
            self.first_time = now;
        }
        if segment.has(tcp_flags::SYN) {
            self.handshake(side, segment, now);
        }
    }

    /// Notes who opened the conversation, and how far away the other end is.
    #[inline(always)]
    fn handshake(&mut self, side: Side, segment: &Segment, now: u64) {
        let is_answer = segment.has(tcp_flags::ACK);
        self.opener = match (side, is_answer) {
            (Side::Low, false) | (Side::High, true) => opener::LOW,
            (Side::High, false) | (Side::Low, true) => opener::HIGH,
        };
        if !is_answer {
            self.server_rtt = 0;
            return;
        }
        let (answers, asks) = match side {
            Side::Low => (&self.low, &self.high),
            Side::High => (&self.high, &self.low),
        };
        // Which of several SYNs it answers nobody can tell (RFC 6298, section 3).
        if asks.syns == 1 && answers.syns == 1 && self.syn_time != 0 {
            self.server_rtt = microseconds(now.saturating_sub(self.syn_time)).max(1);
        }
    }

    /// Notes that a SYN or SYN-ACK of `side` was seen leaving this host.
    #[inline(always)]
    pub fn syn_left(&mut self, side: Side) {
        let forward = match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        };
        forward.syns_left = forward.syns_left.saturating_add(1);
    }
}

/// Of nanoseconds; the greatest number for what does not fit, 71 minutes.
#[inline(always)]
const fn microseconds(nanoseconds: u64) -> u32 {
    let microseconds = nanoseconds / 1000;
    if microseconds > u32::MAX as u64 { u32::MAX } else { microseconds as u32 }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the sizes above).
unsafe impl aya::Pod for Conversation {}
