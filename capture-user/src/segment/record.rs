//! A frame on its way into a buffer, in either format.

use crate::frame::FrameInfo;

/// A frame and what the formats need to know of it.
pub(super) struct Record<'a> {
    pub info: &'a FrameInfo,
    /// Number of the interface within the segment.
    pub interface: u32,
    /// Bytes of the frame that are written; at most what `parts` hold.
    pub captured: usize,
    /// Length on the wire, at least `captured`.
    pub original: u32,
    pub parts: &'a [&'a [u8]],
}

impl Record<'_> {
    /// Copies the captured bytes to `to`, which is exactly as long.
    #[inline]
    pub fn copy_to(&self, mut to: &mut [u8]) {
        for part in self.parts {
            let length = part.len().min(to.len());
            let (head, rest) = to.split_at_mut(length);
            head.copy_from_slice(&part[..length]);
            to = rest;
        }
    }
}
