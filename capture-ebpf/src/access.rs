//! The frame under the program, the same for both hooks.

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, xdp_action, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::map,
    maps::{PerCpuArray, ProgramArray},
    programs::{TcContext, XdpContext},
};
use capture_common::{
    abi::{Counters, Direction, Mode, Scratch},
    flow::tcp_flags,
    parse::{Load, Packet, parse, parse_inner},
};

use crate::{
    mirror,
    stages::{self, reason_code},
    tap,
};

/// Headers end before this offset; a bound that lets the verifier follow packet pointers.
const MAX_HEADER_OFFSET: usize = 0x3fff;

/// What the stages need of a hook.
pub trait Hook: EbpfContext + Load {
    /// Which way frames go here.
    const DIRECTION: Direction;

    /// Return value of the program that lets the frame go on.
    const PASS: u32;

    /// Length of the frame in bytes.
    fn length(&self) -> u32;

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

    /// Copies the first `length` bytes of the frame.
    ///
    /// # Safety
    /// `to` must be valid for writes of `length` bytes.
    unsafe fn copy(&self, to: *mut u8, length: u64) -> Result<(), ()>;
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

/// A frame at XDP.
pub struct Ingress(pub XdpContext);

impl EbpfContext for Ingress {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0.as_ptr()
    }
}

impl Load for Ingress {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        match load_linear(self.0.data(), self.0.data_end(), offset) {
            Some(bytes) => Some(bytes),
            None => from_buffer(load_beyond_xdp(self.0.ctx, offset as u32, N as u32)),
        }
    }
}

/// Headers that are split over buffers. Not inlined, and into a map instead of the stack: this is
/// rare, and one copy of it for each header would exhaust the 512 bytes of stack.
#[inline(never)]
fn load_beyond_xdp(ctx: *mut xdp_md, offset: u32, length: u32) -> *const u8 {
    let Some(buffer) = BEYOND_LINEAR.get_ptr_mut(0) else {
        return core::ptr::null();
    };
    // SAFETY: the context is the one that the kernel gave us, and the buffer is larger than any
    // header that is asked for (the verifier checks it with the length of each call).
    match unsafe { bpf_xdp_load_bytes(ctx, offset, buffer.cast(), length) } {
        0 => buffer.cast(),
        _ => core::ptr::null(),
    }
}

#[inline(never)]
fn parse_ingress(ctx: *mut xdp_md, length: u32, packet: &mut Packet) -> u8 {
    reason_code(parse(&Ingress(XdpContext::new(ctx)), length, packet))
}

#[inline(never)]
fn parse_inner_ingress(ctx: *mut xdp_md, length: u32, outer: &Packet, inner: &mut Packet) -> u8 {
    reason_code(parse_inner(&Ingress(XdpContext::new(ctx)), length, outer, inner))
}

impl Hook for Ingress {
    const DIRECTION: Direction = Direction::Ingress;
    const PASS: u32 = xdp_action::XDP_PASS;

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is the one that the kernel gave us.
        unsafe { bpf_xdp_get_buff_len(self.0.ctx) as u32 }
    }

    #[inline(always)]
    fn wire_frames(&self) -> u64 {
        1
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.0.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn came_in_by(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn may_open_or_refuse(&self) -> bool {
        false
    }

    #[inline(always)]
    fn queue(&self) -> u16 {
        self.0.rx_queue_index() as u16
    }

    #[inline(always)]
    fn stages(&self) -> &'static ProgramArray {
        &stages::XDP_STAGES
    }

    #[inline(always)]
    fn scratch(&self) -> Option<*mut Scratch> {
        stages::XDP_SCRATCH.get_ptr_mut(0)
    }

    #[inline(always)]
    fn parse(&self, length: u32, packet: &mut Packet) -> u8 {
        parse_ingress(self.0.ctx, length, packet)
    }

    #[inline(always)]
    fn parse_inner(&self, length: u32, outer: &Packet, inner: &mut Packet) -> u8 {
        parse_inner_ingress(self.0.ctx, length, outer, inner)
    }

    #[inline(always)]
    fn deliver(&self, scratch: &mut Scratch, counters: &mut Counters) -> u32 {
        if scratch.interface.mode == Mode::Mirror as u8 {
            mirror::deliver(self, scratch, counters)
        } else {
            tap::deliver(self, scratch, counters)
        }
    }

    #[inline(always)]
    unsafe fn copy(&self, to: *mut u8, length: u64) -> Result<(), ()> {
        // SAFETY: the caller's promise.
        match unsafe { bpf_xdp_load_bytes(self.0.ctx, 0, to.cast(), length as u32) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }
}

/// A frame at tc egress.
pub struct Egress(pub TcContext);

impl EbpfContext for Egress {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0.as_ptr()
    }
}

impl Load for Egress {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        match load_linear(self.0.data(), self.0.data_end(), offset) {
            Some(bytes) => Some(bytes),
            None => from_buffer(load_beyond_tc(self.0.skb.skb, offset as u32, N as u32)),
        }
    }
}

/// As [`load_beyond_xdp`], for headers outside of the linear part of a socket buffer.
#[inline(never)]
fn load_beyond_tc(skb: *mut __sk_buff, offset: u32, length: u32) -> *const u8 {
    let Some(buffer) = BEYOND_LINEAR.get_ptr_mut(0) else {
        return core::ptr::null();
    };
    // SAFETY: as in load_beyond_xdp.
    match unsafe { bpf_skb_load_bytes(skb.cast(), offset, buffer.cast(), length) } {
        0 => buffer.cast(),
        _ => core::ptr::null(),
    }
}

#[inline(never)]
fn parse_egress(ctx: *mut __sk_buff, length: u32, packet: &mut Packet) -> u8 {
    reason_code(parse(&Egress(TcContext::new(ctx)), length, packet))
}

#[inline(never)]
fn parse_inner_egress(ctx: *mut __sk_buff, length: u32, outer: &Packet, inner: &mut Packet) -> u8 {
    reason_code(parse_inner(&Egress(TcContext::new(ctx)), length, outer, inner))
}

impl Hook for Egress {
    const DIRECTION: Direction = Direction::Egress;
    /// `TCX_NEXT` and `TC_ACT_UNSPEC` are both -1: the next program, or the default action.
    const PASS: u32 = -1_i32 as u32;

    #[inline(always)]
    fn length(&self) -> u32 {
        self.0.len()
    }

    #[inline(always)]
    fn wire_frames(&self) -> u64 {
        // SAFETY: the context is the one that the kernel gave us.
        let segments = unsafe { (*self.0.skb.skb).gso_segs };
        if segments == 0 { 1 } else { u64::from(segments) }
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is the one that the kernel gave us.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    #[inline(always)]
    fn came_in_by(&self) -> u32 {
        // SAFETY: the context is the one that the kernel gave us.
        unsafe { (*self.0.skb.skb).ingress_ifindex }
    }

    #[inline(always)]
    fn may_open_or_refuse(&self) -> bool {
        const ETHERNET: usize = 14;
        // SAFETY: the context is the one that the kernel gave us.
        let ethertype = unsafe { (*self.0.skb.skb).protocol };
        let (start, end) = (self.0.data(), self.0.data_end());
        let (protocol, transport) = match (ethertype as u16).to_be() {
            0x0800 => match load_linear::<10>(start, end, ETHERNET) {
                Some(header) => (header[9], ETHERNET + usize::from(header[0] & 0x0f) * 4),
                None => return true,
            },
            0x86dd => match load_linear::<7>(start, end, ETHERNET) {
                Some(header) => (header[6], ETHERNET + 40),
                None => return true,
            },
            _ => return true,
        };
        match protocol {
            6 => match load_linear::<14>(start, end, transport) {
                Some(header) => header[13] & tcp_flags::SYN != 0,
                None => true,
            },
            17 => false,
            _ => true,
        }
    }

    #[inline(always)]
    fn queue(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn stages(&self) -> &'static ProgramArray {
        &stages::TC_STAGES
    }

    #[inline(always)]
    fn scratch(&self) -> Option<*mut Scratch> {
        stages::TC_SCRATCH.get_ptr_mut(0)
    }

    #[inline(always)]
    fn parse(&self, length: u32, packet: &mut Packet) -> u8 {
        parse_egress(self.0.skb.skb, length, packet)
    }

    /// Also in mirror mode: nothing can be redirected to a socket here.
    #[inline(always)]
    fn deliver(&self, scratch: &mut Scratch, counters: &mut Counters) -> u32 {
        tap::deliver(self, scratch, counters)
    }

    #[inline(always)]
    fn parse_inner(&self, length: u32, outer: &Packet, inner: &mut Packet) -> u8 {
        parse_inner_egress(self.0.skb.skb, length, outer, inner)
    }

    #[inline(always)]
    unsafe fn copy(&self, to: *mut u8, length: u64) -> Result<(), ()> {
        // SAFETY: the caller's promise.
        match unsafe { bpf_skb_load_bytes(self.as_ptr(), 0, to.cast(), length as u32) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }
}
