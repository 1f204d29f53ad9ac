//! What the step needs to know of a TCP segment.

/// Bits of [`Segment::flags`], as on the wire (RFC 9293, section 3.1).
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
}

/// The fields of a TCP header that the analysis looks at, in host byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number, as it stands in the header even without ACK.
    pub acknowledgment: u32,
    /// Bytes of payload, from the IP header's length (not from the captured bytes), as far as the
    /// frame had room for them on the wire.
    pub length: u32,
    /// Window, raw: not scaled.
    pub window: u16,
    /// Bits of [`tcp_flags`] and others.
    pub flags: u8,
    /// Zero.
    pub padding: u8,
}

const _: () = assert!(size_of::<Segment>() == 16);

impl Segment {
    /// Is one of these flags set?
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The sequence number behind this segment: SYN and FIN take one.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.sequence
            .wrapping_add(self.length)
            .wrapping_add(self.has(tcp_flags::SYN | tcp_flags::FIN) as u32)
    }
}
