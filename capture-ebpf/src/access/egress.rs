//! A frame at tc egress.
//!
//! The outermost VLAN tag mostly lies in the socket buffer's metadata here, and the NIC or the driver
//! puts it into the frame. It counts as part of the frame, and what is captured has it in its place.

use aya_ebpf::{
    EbpfContext, bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes, maps::ProgramArray,
    programs::TcContext,
};
use capture_common::{
    abi::{Counters, Direction, Scratch},
    flow::tcp_flags,
    parse::{Load, Packet, parse, parse_inner, recall},
};

use super::{BEYOND_LINEAR, Hook, from_buffer, load_linear};
use crate::{
    stages::{self, reason_code},
    tap,
};

/// Bytes of both Ethernet addresses, behind which the tag belongs.
const ADDRESSES: u64 = 12;
const TAG_LENGTH: u32 = 4;
const BEHIND_TAG: u64 = ADDRESSES + TAG_LENGTH as u64;

/// A frame at tc egress.
pub struct Egress(pub TcContext);

impl EbpfContext for Egress {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0.as_ptr()
    }
}

/// The bytes, without a VLAN tag that lies beside them. A loader that shows the parser the tag would
/// cost every load a comparison, and nothing would come of it: the counters and conversations do not
/// know VLANs. What remains is that a frame may have one tag more here before it has too many.
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

    /// Without a branch: each frame asks for it, and the verifier would follow both ways.
    #[inline(always)]
    fn tag_length(&self) -> u32 {
        // SAFETY: the context is the one that the kernel gave us.
        (unsafe { (*self.0.skb.skb).vlan_present } & 1) * TAG_LENGTH
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
    unsafe fn copy<const N: usize>(&self, to: *mut [u8; N], length: u64) -> Result<(), ()> {
        let to = to.cast();
        if self.tag_length() == 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.load_bytes(0, to, length) };
        }
        // SAFETY: as above; the first part is no longer than the whole.
        unsafe { self.load_bytes(0, to, length.min(ADDRESSES)) }?;
        if length <= ADDRESSES {
            return Ok(());
        }
        // Whole, even if less of it was asked for: then nobody looks at what is behind `length`.
        const { assert!(N as u64 >= BEHIND_TAG) };
        // SAFETY: the tag ends within the N bytes; unaligned, since nothing is known of `to`.
        unsafe { to.add(ADDRESSES as usize).cast::<[u8; 4]>().write_unaligned(self.tag()) };
        // Through memory, for the verifier: see tap::record.
        let rest = recall(&length.wrapping_sub(BEHIND_TAG));
        if length <= BEHIND_TAG {
            return Ok(());
        }
        if rest == 0 || rest > N as u64 - BEHIND_TAG {
            return Err(());
        }
        // SAFETY: at most what is left of the N bytes, checked above.
        unsafe { self.load_bytes(ADDRESSES as u32, to.add(BEHIND_TAG as usize), rest) }
    }
}

impl Egress {
    /// The VLAN tag that lies beside the bytes, as on the wire.
    #[inline(always)]
    fn tag(&self) -> [u8; 4] {
        let skb = self.0.skb.skb;
        // SAFETY: the context is the one that the kernel gave us.
        let (protocol, control) = unsafe { ((*skb).vlan_proto as u16, (*skb).vlan_tci as u16) };
        // The protocol is in network order already.
        let ([a, b], [c, d]) = (protocol.to_ne_bytes(), control.to_be_bytes());
        [a, b, c, d]
    }

    /// # Safety
    /// `to` must be valid for writes of `length` bytes.
    #[inline(always)]
    unsafe fn load_bytes(&self, offset: u32, to: *mut u8, length: u64) -> Result<(), ()> {
        // SAFETY: the context is the one that the kernel gave us; for the rest the caller's promise.
        match unsafe { bpf_skb_load_bytes(self.as_ptr(), offset, to.cast(), length as u32) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }
}
