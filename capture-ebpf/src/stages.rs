//! The tail calls, and what travels along with them.

use aya_ebpf::{
    macros::map,
    maps::{PerCpuArray, ProgramArray},
};
use aya_log_ebpf::warn;
use capture_common::{
    abi::{
        KernelLoss, MAX_INTERFACES, Scratch,
        names::{STAGE_DELIVER, STAGE_FILTER_BASE},
    },
    reason::Reason,
};

use crate::{access::Hook, account};

#[map]
pub static XDP_STAGES: ProgramArray =
    ProgramArray::with_max_entries(STAGE_FILTER_BASE + MAX_INTERFACES, 0);
#[map]
pub static TC_STAGES: ProgramArray =
    ProgramArray::with_max_entries(STAGE_FILTER_BASE + MAX_INTERFACES, 0);
#[map]
pub static XDP_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static TC_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Calls the filter of the interface; returns if it has none.
#[inline(always)]
pub fn call_filter<H: Hook>(hook: &H, scratch: &Scratch) {
    // SAFETY: nothing in the callers needs to be dropped.
    unsafe { hook.stages().tail_call(hook, STAGE_FILTER_BASE + scratch.interface.slot) };
}

/// Calls the deliver stage: how a filter says that a frame is wanted.
#[inline(always)]
pub fn call_deliver<H: Hook>(hook: &H, scratch: &Scratch) -> u32 {
    // SAFETY: nothing in the callers needs to be dropped.
    unsafe { hook.stages().tail_call(hook, STAGE_DELIVER) };
    // The daemon has not put it there.
    if let Some(counters) = account::counters(scratch.interface.slot, H::DIRECTION) {
        counters.matched_frames += 1;
        if account::lost(counters, KernelLoss::NoStage) {
            warn!(
                hook,
                "interface {}: no deliver stage, frames are not captured", scratch.sight.ifindex
            );
        }
    }
    H::PASS
}

/// The deliver stage by itself: looks up again what the entry stage had at hand.
#[inline(always)]
pub fn deliver<H: Hook>(hook: &H) -> u32 {
    let Some(scratch) = hook.scratch() else {
        return H::PASS;
    };
    // SAFETY: this CPU's element, left there by the entry stage of this very frame.
    let scratch = unsafe { &mut *scratch };
    match account::counters(scratch.interface.slot, H::DIRECTION) {
        Some(counters) => hook.deliver(scratch, counters),
        None => H::PASS,
    }
}

/// How [`Scratch::reason`] tells the result of parsing.
#[inline(always)]
pub const fn reason_code(result: Result<(), Reason>) -> u8 {
    match result {
        Ok(()) => Scratch::PARSED,
        Err(reason) => reason as u8,
    }
}
