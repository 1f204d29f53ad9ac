//! What the entry programs hand to the later stages of the same frame.

use super::InterfaceConfig;
use crate::parse::Packet;

/// Value of the maps [`XDP_SCRATCH`](super::names::XDP_SCRATCH) and
/// [`TC_SCRATCH`](super::names::TC_SCRATCH): one per CPU. A frame is processed on one CPU from
/// entry to delivery without another frame of the same hook in between, so nothing else touches it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// The parsed headers; of a tunnel, the outer ones.
    pub packet: Packet,
    /// Length of the frame on the wire, in bytes.
    pub frame_length: u32,
    /// Bits of [`class`](crate::class).
    pub classes: u32,
    /// Kernel's index of the interface.
    pub ifindex: u32,
    /// 0 for no filter, otherwise 1 + the number of the rule that matched.
    pub matched_rule: u32,
    /// The interface's configuration when the frame came.
    pub interface: InterfaceConfig,
    /// A [`Reason`](crate::reason::Reason), or [`Scratch::PARSED`]; of a tunnel, what the inner
    /// headers came to.
    pub reason: u8,
    /// Zero.
    pub padding: [u8; 3],
    /// The innermost headers; only set where `packet` is of a tunnel
    /// ([`layers::TUNNEL`](crate::parse::layers::TUNNEL)). Last, so that other frames do not touch
    /// its cache lines.
    pub inner: Packet,
}

impl Scratch {
    /// Value of `reason` for a frame that was parsed to its transport header.
    pub const PARSED: u8 = u8::MAX;
}

const _: () = assert!(size_of::<Scratch>() == 2 * size_of::<Packet>() + 16 + 20 + 4);

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the size above).
unsafe impl aya::Pod for Scratch {}
