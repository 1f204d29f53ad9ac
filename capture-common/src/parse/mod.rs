//! The frame parser, one for kernel and host.
//!
//! It is generic over [`Load`], which reads `N` bytes at an offset or says that they are not there:
//! byte slices implement it here, the program contexts in `capture-ebpf`. All loops are capped, and
//! no header is read past the end of the frame or past the length that the IP header states.

mod icmp;
mod ip;
mod link;
mod packet;
mod transport;

pub use ip::MAX_IPV6_EXTENSIONS;
pub use link::{MAX_MPLS_LABELS, MAX_VLANS};
pub use packet::{Packet, Quote, depth, layers, recall};

pub use transport::has_ports;

use crate::reason::Reason;

/// Reads bytes of a frame.
pub trait Load {
    /// The `N` bytes at `offset`, or `None` if the frame ends before.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Load for [u8] {
    #[inline]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }
}

/// Parses the frame of `frame_length` bytes (as on the wire; `frame` may hold fewer) into
/// `packet`, every field of which is set except the quote when
/// [`layers::QUOTE`] is not.
///
/// # Errors
/// The reason why it stopped; what was parsed before stays in `packet`, and
/// [`Packet::depth`] says how far that is.
#[inline(always)]
pub fn parse<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    packet: &mut Packet,
) -> Result<(), Reason> {
    packet.reset();
    link::parse(frame, packet)?;
    packet.depth = depth::LINK;
    let offset = usize::from(recall(&packet.network_offset));
    match recall(&packet.ip_version) {
        6 => ip::parse_v6(frame, frame_length, offset, packet)?,
        _ => ip::parse_v4(frame, frame_length, offset, packet)?,
    }
    packet.depth = depth::NETWORK;
    transport::parse(frame, frame_length, packet)?;
    packet.depth = depth::TRANSPORT;
    Ok(())
}

#[inline(always)]
const fn be16(bytes: [u8; 2]) -> u16 {
    u16::from_be_bytes(bytes)
}
