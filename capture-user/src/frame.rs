//! A captured frame on its way from a capture thread to a segment.

use capture_common::{abi::Direction, class::Classes};

/// What is known of a frame besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Nanoseconds since 1970-01-01 UTC.
    pub timestamp: u64,
    /// Length on the wire, in bytes, without the frame check sequence.
    pub original_length: u32,
    /// Slot of the interface it was seen on.
    pub slot: u8,
    /// Which way it went.
    pub direction: Direction,
    /// Receive queue (ingress) or 0.
    pub queue: u16,
    /// What the TCP step saw in it.
    pub classes: Classes,
}

/// Takes frames from a capture thread; implemented by the segment writer and by tests.
///
/// Never fails and never blocks for longer than a write to the page cache: what cannot be written
/// is counted as lost.
pub trait FrameSink {
    /// Takes one frame. Its bytes may lie in several parts (multi-buffer AF_XDP); together they
    /// are the whole frame or, in tap mode, as much of it as the snap length let through. The sink
    /// applies the snap length again.
    fn frame(&mut self, info: &FrameInfo, parts: &[&[u8]]);

    /// Called when no frame is waiting, and at least every 100 ms under load: time to flush and to
    /// rotate by time. `now` is in nanoseconds since 1970-01-01 UTC.
    fn tick(&mut self, now: u64);

    /// No more frames: writes everything out and closes the segment.
    fn close(&mut self);
}
