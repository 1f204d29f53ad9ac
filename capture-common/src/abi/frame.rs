//! The header that travels with every captured frame.

/// Which way a frame went through its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// It came in.
    Ingress = 0,
    /// It went out.
    Egress = 1,
}

impl Direction {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The value of the Prometheus label `direction`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// First byte of every header, so that a frame without one (metadata not carried by a driver)
/// can be told from one with it.
pub const FRAME_HEADER_MAGIC: u8 = 0xca;

/// Travels in front of the frame: in the ring buffer before the copied bytes, in mirror mode as
/// XDP metadata. At most 32 bytes, the limit of XDP metadata in kernels before 6.3.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// When the frame was delivered, in nanoseconds of `CLOCK_MONOTONIC`.
    pub timestamp: u64,
    /// Length of the frame on the wire, in bytes, without the frame check sequence.
    pub original_length: u32,
    /// Bytes of the frame that follow this header in the ring buffer. In mirror mode the same as
    /// `original_length`: the daemon applies the snap length.
    pub captured_length: u32,
    /// Kernel's index of the interface.
    pub ifindex: u32,
    /// Bits of [`class`](crate::class): what the TCP step saw in this segment.
    pub classes: u32,
    /// Receive queue (ingress) or 0.
    pub queue: u16,
    /// Slot of the interface (see [`InterfaceConfig::slot`](super::InterfaceConfig::slot)).
    pub slot: u8,
    /// A [`Direction`].
    pub direction: u8,
    /// [`FRAME_HEADER_MAGIC`].
    pub magic: u8,
    /// Zero.
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<FrameHeader>() == 32);

impl FrameHeader {
    /// Size in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// Reads a header from its bytes; `None` if they are too few or the magic is not there.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.get(..Self::SIZE)?.try_into().ok()?;
        if bytes[28] != FRAME_HEADER_MAGIC {
            return None;
        }
        // SAFETY: FrameHeader is repr(C) of integers only, so any 32 bytes are a valid value, and
        // read_unaligned asks nothing of their address.
        Some(unsafe { core::ptr::read_unaligned(bytes.as_ptr().cast::<Self>()) })
    }

    /// The direction; anything but egress reads as ingress.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.direction == Direction::Egress as u8 {
            Direction::Egress
        } else {
            Direction::Ingress
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(header: &FrameHeader) -> [u8; 32] {
        // SAFETY: both are 32 bytes of integers without padding.
        unsafe { core::mem::transmute_copy(header) }
    }

    #[test]
    fn header_survives_its_bytes() {
        let header = FrameHeader {
            timestamp: 1,
            original_length: 2,
            captured_length: 3,
            ifindex: 4,
            classes: 5,
            queue: 6,
            slot: 7,
            direction: 1,
            magic: FRAME_HEADER_MAGIC,
            padding: [0; 3],
        };
        assert_eq!(FrameHeader::from_bytes(&bytes_of(&header)), Some(header));
    }

    #[test]
    fn no_magic_no_header() {
        let header = FrameHeader::default();
        assert_eq!(FrameHeader::from_bytes(&bytes_of(&header)), None);
        assert_eq!(FrameHeader::from_bytes(&[FRAME_HEADER_MAGIC; 31]), None);
    }
}
