//! The frame under the program, the same for both hooks.

mod egress;
mod ingress;

use aya_ebpf::{
    EbpfContext,
    macros::map,
    maps::{PerCpuArray, ProgramArray},
};
use capture_common::{
    abi::{Counters, Direction, Scratch},
    parse::{Load, Packet},
};

pub use egress::Egress;
pub use ingress::Ingress;

/// Headers end before this offset; a bound that lets the verifier follow packet pointers.
const MAX_HEADER_OFFSET: usize = 0x3fff;

/// What the stages need of a hook.
pub trait Hook: EbpfContext + Load {
    /// Which way frames go here.
    const DIRECTION: Direction;

    /// Return value of the program that lets the frame go on.
    const PASS: u32;

    /// Length of the frame's bytes, which is what offsets are within.
    fn length(&self) -> u32;

    /// Bytes that the frame has on the wire and not here: 4 for a VLAN tag that the NIC will put in,
    /// else 0.
    fn tag_length(&self) -> u32;

    /// How many frames on the wire this is: more than one for a super-packet that is segmented
    /// later.
    fn wire_frames(&self) -> u64;

    /// Kernel's index of the interface that the frame comes in or goes out by.
    fn ifindex(&self) -> u32;

    /// At egress: the interface that the frame came in by; 0 if this host made it.
    fn came_in_by(&self) -> u32;

    /// At egress: may the frame hold a SYN or an ICMP error? A quick look, since each forwarded
    /// frame gets it; the parser has the last word.
    fn may_open_or_refuse(&self) -> bool;

    /// The receive queue.
    fn queue(&self) -> u16;

    /// The tail calls of this hook.
    fn stages(&self) -> &'static ProgramArray;

    /// Where the entry program leaves what it found.
    fn scratch(&self) -> Option<*mut Scratch>;

    /// Parses the frame; the result is a [`Scratch::reason`].
    ///
    /// Not inlined in either hook: the parser has a stack of its own then.
    fn parse(&self, length: u32, packet: &mut Packet) -> u8;

    /// Parses what the packet of a tunnel carries; the result is a [`Scratch::reason`].
    ///
    /// Not inlined either: it is rare.
    fn parse_inner(&self, length: u32, outer: &Packet, inner: &mut Packet) -> u8;

    /// Delivers the frame, in the way of its interface's mode; the result is the program's.
    fn deliver(&self, scratch: &mut Scratch, counters: &mut Counters) -> u32;

    /// Copies the first `length` bytes of the frame as it is on the wire: at least 1, at most `N`.
    ///
    /// # Safety
    /// `to` must be valid for writes of `N` bytes.
    unsafe fn copy<const N: usize>(&self, to: *mut [u8; N], length: u64) -> Result<(), ()>;
}

/// The one place where packet memory is read directly.
#[inline(always)]
fn load_linear<const N: usize>(start: usize, end: usize, offset: usize) -> Option<[u8; N]> {
    if offset > MAX_HEADER_OFFSET || start + offset + N > end {
        return None;
    }
    // SAFETY: the N bytes lie between data and data_end, checked above (the verifier insists on
    // it); a byte array has no alignment and no invalid values.
    Some(unsafe { *((start + offset) as *const [u8; N]) })
}

/// Longest header that is loaded at once.
const MAX_HEADER: usize = 40;

#[map]
static BEYOND_LINEAR: PerCpuArray<[u8; MAX_HEADER]> = PerCpuArray::with_max_entries(1, 0);

/// What one of the `load_beyond_*` functions returned.
#[inline(always)]
fn from_buffer<const N: usize>(buffer: *const u8) -> Option<[u8; N]> {
    const { assert!(N <= MAX_HEADER) };
    // SAFETY: the pointer is null or to an element of BEYOND_LINEAR, which holds N bytes.
    (!buffer.is_null()).then(|| unsafe { *buffer.cast::<[u8; N]>() })
}
