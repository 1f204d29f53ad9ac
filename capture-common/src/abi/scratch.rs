//! What the entry programs hand to the later stages of the same frame.

use super::InterfaceConfig;
use crate::{
    flow::{Seen, Sight, TroubleKey},
    parse::{Packet, recall},
};

/// Value of the maps [`XDP_SCRATCH`](super::names::XDP_SCRATCH) and
/// [`TC_SCRATCH`](super::names::TC_SCRATCH): one per CPU. A frame is processed on one CPU from
/// entry to delivery without another frame of the same hook in between, so nothing else touches it.
///
/// It also holds what would not fit on the programs' stack of 512 bytes, and what the verifier
/// should forget (see [`recall`](crate::parse::recall)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// The parsed headers: at [`Scratch::OUTER`] those of the frame, at [`Scratch::INNER`] those of
    /// what its tunnel carries, if it is one.
    pub packets: [Packet; 2],
    /// How the frame was seen.
    pub sight: Sight,
    /// Bytes put into the ring buffer since its reader was last woken. Not of this frame: it stays.
    pub unannounced: u64,
    /// What the TCP step found.
    pub seen: Seen,
    /// The conversation that the frame belongs to, or is about.
    pub key: TroubleKey,
    /// The interface's configuration when the frame came.
    pub interface: InterfaceConfig,
    /// Bits of [`shown`](crate::flow::shown), one of which the conversation must have shown for the
    /// frame to be delivered. A filter sets it before it calls
    /// [`STAGE_DELIVER_TROUBLED`](super::names::STAGE_DELIVER_TROUBLED); otherwise it is old.
    pub wanted_trouble: u32,
    /// A [`Reason`](crate::reason::Reason), or [`Scratch::PARSED`].
    pub reason: u8,
    /// Which of `packets` the counters and the TCP step are about.
    pub innermost: u8,
    /// Not 0 for a frame that leaves and came in by one of our interfaces.
    pub forwarded: u8,
    /// Zero.
    pub padding: [u8; 5],
}

impl Scratch {
    /// Value of `reason` for a frame that was parsed to its transport header.
    pub const PARSED: u8 = u8::MAX;
    /// Index of the frame's own headers.
    pub const OUTER: usize = 0;
    /// Index of the headers inside a tunnel.
    pub const INNER: usize = 1;
    /// Where a filter stores the trouble that it wants, in bytes from the start.
    pub const WANTED_TROUBLE_OFFSET: usize = core::mem::offset_of!(Self, wanted_trouble);
}

/// The headers that a frame is judged by: `packets` and `which` are [`Scratch::packets`] and
/// [`Scratch::innermost`].
///
/// By an index out of memory, so that the verifier follows one way through what comes next and not
/// one for each of the two places.
#[inline(always)]
#[must_use]
pub fn innermost<'a>(packets: &'a [Packet; 2], which: &u8) -> &'a Packet {
    &packets[usize::from(recall(which) & 1)]
}

const _: () =
    assert!(size_of::<Scratch>() == 2 * size_of::<Packet>() + 24 + 8 + 8 + 44 + 16 + 4 + 8);

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the size above).
unsafe impl aya::Pod for Scratch {}
