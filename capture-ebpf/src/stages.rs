//! The tail calls, and what travels along with them.

use aya_ebpf::{
    macros::map,
    maps::{PerCpuArray, ProgramArray},
};
use capture_common::{
    abi::{
        MAX_INTERFACES, Mode, Scratch,
        names::{STAGE_DELIVER_MIRROR, STAGE_DELIVER_TAP, STAGE_FILTER_BASE},
    },
    reason::Reason,
};

use crate::access::Hook;

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

/// Calls the deliver stage of the interface's mode; returns only if the daemon has not put it
/// there. Constant indices, so that the JIT can make direct jumps of them.
#[inline(always)]
pub fn call_deliver<H: Hook>(hook: &H, scratch: &Scratch) {
    if scratch.interface.mode == Mode::Mirror as u8 {
        // SAFETY: nothing in the callers needs to be dropped.
        unsafe { hook.stages().tail_call(hook, STAGE_DELIVER_MIRROR) };
    } else {
        // SAFETY: as above.
        unsafe { hook.stages().tail_call(hook, STAGE_DELIVER_TAP) };
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
