//! The state of a conversation: constant size, one map entry for both directions.

use super::{Segment, Side, step};
use crate::class::Classes;

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
}

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
}

const _: () = assert!(size_of::<DirectionState>() == 40);
const _: () = assert!(size_of::<Conversation>() == 96);

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
    };
}

impl Conversation {
    /// Nothing seen yet.
    pub const NEW: Self =
        Self { low: DirectionState::NEW, high: DirectionState::NEW, syn_time: 0, initial_rtt: 0 };

    /// Takes note of a segment sent by `side` that was seen on `ifindex` at `now` (nanoseconds of
    /// `CLOCK_MONOTONIC`), and classifies it. `None` if it is only another sighting: a direction's
    /// state belongs to the interface that saw it first.
    #[inline(always)]
    pub fn observe(
        &mut self,
        side: Side,
        ifindex: u32,
        segment: &Segment,
        now: u64,
    ) -> Option<Classes> {
        let (forward, reverse) = match side {
            Side::Low => (&mut self.low, &mut self.high),
            Side::High => (&mut self.high, &mut self.low),
        };
        if forward.ifindex != ifindex {
            let is_owned =
                forward.ifindex != 0 && now.saturating_sub(forward.last_time) < SIGHTING_TIMEOUT;
            if is_owned {
                return None;
            }
            forward.ifindex = ifindex;
        }
        Some(step(forward, reverse, &mut self.syn_time, &mut self.initial_rtt, segment, now))
    }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the sizes above).
unsafe impl aya::Pod for Conversation {}
