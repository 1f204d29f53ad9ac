//! Delivery in mirror mode: the frame is redirected to an AF_XDP socket and so taken from the host.

use aya_ebpf::{
    bindings::xdp_action, helpers::generated::bpf_xdp_adjust_meta, macros::map, maps::XskMap,
};
use capture_common::abi::{
    Counters, Direction, FRAME_HEADER_MAGIC, FrameHeader, KernelLoss, MAX_INTERFACES, MAX_QUEUES,
    Scratch, socket_index,
};

use crate::{
    access::{Hook, Ingress},
    account,
};

#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(MAX_INTERFACES * MAX_QUEUES, 0);

/// Redirects the frame with its header in front; what cannot be redirected passes.
#[inline(always)]
pub fn deliver(hook: &Ingress, scratch: &Scratch, counters: &mut Counters) -> u32 {
    counters.matched_frames += 1;
    match redirect(hook, scratch) {
        Ok(()) => {
            counters.delivered_frames += 1;
            xdp_action::XDP_REDIRECT
        }
        Err(stage) => {
            account::lost(counters, stage);
            xdp_action::XDP_PASS
        }
    }
}

#[inline(always)]
fn redirect(hook: &Ingress, scratch: &Scratch) -> Result<(), KernelLoss> {
    let queue = u32::from(hook.queue());
    if queue >= MAX_QUEUES {
        return Err(KernelLoss::NoSocket);
    }
    // An empty slot must let the frame pass: the lower bits of the flags are the action for it.
    let index = socket_index(scratch.interface.slot, queue);
    if SOCKETS.redirect(index, xdp_action::XDP_PASS.into()).is_err() {
        return Err(KernelLoss::NoSocket);
    }
    write_header(hook, scratch)
}

/// Puts the header into the metadata, directly in front of the frame.
#[inline(always)]
fn write_header(hook: &Ingress, scratch: &Scratch) -> Result<(), KernelLoss> {
    // SAFETY: the context is the one that the kernel gave us.
    if unsafe { bpf_xdp_adjust_meta(hook.0.ctx, -(FrameHeader::SIZE as i32)) } != 0 {
        return Err(KernelLoss::NoMetadata);
    }
    let start = hook.0.metadata();
    if start + FrameHeader::SIZE > hook.0.metadata_end() {
        return Err(KernelLoss::NoMetadata);
    }
    let header = FrameHeader {
        timestamp: scratch.sight.now,
        original_length: scratch.sight.bytes,
        captured_length: scratch.sight.bytes,
        ifindex: scratch.sight.ifindex,
        classes: scratch.seen.classes.0,
        queue: hook.queue(),
        slot: scratch.interface.slot as u8,
        direction: Direction::Ingress as u8,
        magic: FRAME_HEADER_MAGIC,
        padding: [0; 3],
    };
    // SAFETY: the bytes lie between data_meta and data, checked above; unaligned, since nothing
    // says where a driver's frames start.
    unsafe { (start as *mut FrameHeader).write_unaligned(header) };
    Ok(())
}
