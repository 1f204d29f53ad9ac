//! The frame parser, one for kernel and host.
//!
//! It is generic over [`Load`], which reads `N` bytes at an offset or says that they are not there:
//! byte slices implement it here, the program contexts in `capture-ebpf`. All loops are capped, and
//! no header is read past the end of the frame or past the length that the IP header states.
//!
//! [`parse`] ends at the outermost transport header; where that is of a tunnel, [`parse_inner`] goes
//! on from there.

mod gre;
mod icmp;
mod ip;
mod link;
mod packet;
mod transport;
mod tunnel;
mod wlan;

pub use ip::MAX_IPV6_EXTENSIONS;
pub use link::{MAX_MPLS_LABELS, MAX_VLANS};
pub use packet::{Packet, Quote, depth, layers, recall};

pub use transport::has_ports;
pub use tunnel::MAX_TUNNELS;

use crate::reason::Reason;
use tunnel::{Carrier, Within};

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
    link::parse(frame, 0, packet)?;
    above_link(frame, frame_length, packet)
}

/// Parses what a packet of a tunnel ([`layers::TUNNEL`]) carries into `inner`, and what that
/// carries if it is a tunnel too: in the end `inner` is the innermost packet. Offsets are, as in
/// the outer packet, from the start of the frame. Nothing is read past the end that the headers of
/// the packet around it state.
///
/// # Errors
/// As for [`parse`]. If the outermost tunnel could not be followed, `inner` is empty: its
/// [`depth`](Packet::depth) is [`depth::NONE`].
#[inline(always)]
pub fn parse_inner<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    outer: &Packet,
    inner: &mut Packet,
) -> Result<(), Reason> {
    inner.reset();
    let mut carrier = Carrier::of(outer, frame_length, frame_length);
    for _ in 0..MAX_TUNNELS {
        let (end, end_on_wire) = parse_carried(frame, &carrier, inner)?;
        if recall(&inner.layers) & layers::TUNNEL == 0 {
            return Ok(());
        }
        carrier = Carrier::of(inner, end, end_on_wire);
    }
    Err(Reason::TooManyTunnels)
}

/// One level of [`parse_inner`]. Returns where the carrier's payload ends, and where it ended before
/// it was cut by what mirrors it.
#[inline(always)]
fn parse_carried<L: Load + ?Sized>(
    frame: &L,
    carrier: &Carrier,
    inner: &mut Packet,
) -> Result<(u32, u32), Reason> {
    let payload = tunnel::open(frame, carrier)?;
    inner.reset();
    inner.tunnel = payload.tunnel;
    inner.network_offset = payload.offset as u16;
    inner.network_end = payload.end;
    // In fields that only the transport header sets.
    inner.source_port = payload.ethertype;
    inner.segment.sequence = payload.end_on_wire;
    // Out of the map again: see recall().
    let start = usize::from(recall(&inner.network_offset));
    let end = recall(&inner.network_end);
    let ethertype = recall(&inner.source_port);
    let end_on_wire = recall(&inner.segment.sequence);
    inner.source_port = 0;
    inner.segment.sequence = 0;
    let within = Within { frame, end };
    match ethertype {
        tunnel::ETHERNET => link::parse(&within, start, inner)?,
        ethertype => link::payload(&within, ethertype, start, inner)?,
    }
    above_link(&within, end_on_wire, inner)?;
    Ok((end, end_on_wire))
}

/// What lies above the link layer, which was parsed whole.
#[inline(always)]
fn above_link<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    packet: &mut Packet,
) -> Result<(), Reason> {
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
