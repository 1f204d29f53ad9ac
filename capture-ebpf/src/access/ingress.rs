//! A frame at XDP.

use aya_ebpf::{
    EbpfContext,
    bindings::{xdp_action, xdp_md},
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    maps::ProgramArray,
    programs::XdpContext,
};
use capture_common::{
    abi::{Counters, Direction, Mode, Scratch},
    parse::{Load, Packet, parse, parse_inner},
};

use super::{BEYOND_LINEAR, Hook, from_buffer, load_linear};
use crate::{
    mirror,
    stages::{self, reason_code},
    tap,
};

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

    /// XDP sees no tag but those in the bytes: one that the NIC took out is gone.
    #[inline(always)]
    fn tag_length(&self) -> u32 {
        0
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
    unsafe fn copy<const N: usize>(&self, to: *mut [u8; N], length: u64) -> Result<(), ()> {
        // SAFETY: the caller's promise.
        match unsafe { bpf_xdp_load_bytes(self.0.ctx, 0, to.cast(), length as u32) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }
}
