//! What the parser finds in a frame.

use crate::flow::Segment;

/// Values of [`Packet::depth`]: the last layer that was parsed whole.
pub mod depth {
    /// Not even the link layer.
    pub const NONE: u8 = 0;
    /// Ethernet, VLAN tags, MPLS labels, PPPoE.
    pub const LINK: u8 = 1;
    /// The IP header and the extension headers.
    pub const NETWORK: u8 = 2;
    /// The transport or ICMP header; for a protocol that is a tunnel (GRE, IP in IP), that there
    /// is one.
    pub const TRANSPORT: u8 = 3;
}

/// Bits of [`Packet::layers`].
pub mod layers {
    /// MPLS labels were skipped.
    pub const MPLS: u8 = 1 << 0;
    /// A PPPoE session header was skipped.
    pub const PPPOE: u8 = 1 << 1;
    /// A fragment (the first one where the transport header was parsed). An atomic fragment
    /// (RFC 6946) is not one.
    pub const FRAGMENT: u8 = 1 << 2;
    /// An ICMP error with a quoted packet: [`Packet::quote`](super::Packet::quote) is set.
    pub const QUOTE: u8 = 1 << 3;
    /// The packet is of a tunnel, by its protocol or its destination port. What it carries is for
    /// [`parse_inner`](super::super::parse_inner).
    pub const TUNNEL: u8 = 1 << 4;
}

/// The parsed headers. Addresses are 16 bytes in network order, IPv4 as IPv4-mapped IPv6
/// (RFC 4291, section 2.5.5.2), so that one comparison serves both.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port, 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port, 0 where the protocol has none.
    pub destination_port: u16,
    /// The TCP header, zero for other protocols.
    pub segment: Segment,
    /// Identifier of the [tunnel](crate::flow::tunnel) that the packet came in, 0 for none.
    pub tunnel: u32,
    /// Bytes from the start of the frame to the end of the packet, as the IP header states it; the
    /// frame may be padded beyond or cut before. Of a packet in a tunnel whose IP header was not
    /// reached: to the end of what carries it.
    pub network_end: u32,
    /// Bytes from the start of the frame to the IP header.
    pub network_offset: u16,
    /// Bytes from the start of the frame to the transport header.
    pub transport_offset: u16,
    /// 4 or 6 as the link layer announced it, 0 if it announced neither.
    pub ip_version: u8,
    /// IP protocol number (IPv6: of the header behind the extension headers).
    pub protocol: u8,
    /// Number of VLAN tags.
    pub vlans: u8,
    /// Bits of [`layers`].
    pub layers: u8,
    /// A value of [`depth`].
    pub depth: u8,
    /// Type of the ICMP or ICMPv6 message.
    pub icmp_type: u8,
    /// Code of the ICMP or ICMPv6 message.
    pub icmp_code: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// What an ICMP error quotes; only set with [`layers::QUOTE`].
    pub quote: Quote,
}

/// The conversation that an ICMP error quotes, in the direction of the quoted packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port, 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port, 0 where the protocol has none.
    pub destination_port: u16,
    /// Largest packet that the next link takes, in bytes, where the error is about that; otherwise 0.
    /// 65,535 for any more.
    pub mtu: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: u8,
}

impl Packet {
    /// Sets everything but the quote, which is large and rare, to zero.
    ///
    /// Word by word and volatile, since the BPF back end makes a call of a byte-wise `memset` of
    /// every assignment of zeros that the compiler can put together: that cost as much as all the
    /// rest of parsing.
    #[inline(always)]
    pub(super) fn reset(&mut self) {
        let words = core::ptr::from_mut(self).cast::<u64>();
        for word in 0..core::mem::offset_of!(Self, quote) / size_of::<u64>() {
            // SAFETY: the words lie before the quote and so within the packet, which is aligned to
            // eight bytes and consists of integers.
            unsafe { words.add(word).write_volatile(0) };
        }
    }

    /// Bytes of the packet from the transport header on, as the IP header states it.
    #[inline(always)]
    pub(super) fn transport_length(&self) -> u32 {
        recall(&self.network_end).saturating_sub(self.transport_offset())
    }

    #[inline(always)]
    fn transport_offset(&self) -> u32 {
        u32::from(recall(&self.transport_offset))
    }

    /// Is one of these [`layers`] there?
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, layers: u8) -> bool {
        self.layers & layers != 0
    }
}

/// Sets a field that is zero to an IPv4 address as IPv4-mapped IPv6 address.
#[inline(always)]
pub(super) fn set_mapped(field: &mut [u8; 16], v4: [u8; 4]) {
    [field[10], field[11]] = [0xff, 0xff];
    [field[12], field[13], field[14], field[15]] = v4;
}

/// An IPv4 address as IPv4-mapped IPv6 address.
#[inline(always)]
#[must_use]
pub(super) const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}

#[cfg(feature = "user")]
// SAFETY: repr(C) of integers; the layout test below shows that there is no implicit padding.
unsafe impl aya::Pod for Packet {}

const _: () = assert!(core::mem::offset_of!(Packet, quote) % size_of::<u64>() == 0);
const _: () = assert!(size_of::<Packet>() == 32 + 4 + 16 + 4 + 4 + 4 + 8 + 40);

/// Reads what an earlier stage left in a field, through memory.
///
/// The compiler would keep the value in a register, and the kernel's verifier would follow each way
/// through the earlier stage separately through all of the later ones: they multiply. A value that
/// comes out of a map is the same to it whichever way it got in.
#[inline(always)]
pub fn recall<T: Copy>(field: &T) -> T {
    // SAFETY: a reference is valid for reads; volatile only keeps the compiler from knowing the
    // value.
    unsafe { core::ptr::read_volatile(field) }
}
