//! The tail calls, and what travels along with them.

use aya_ebpf::{
    bindings::xdp_action,
    macros::map,
    maps::{PerCpuArray, ProgramArray},
};
use capture_common::{
    abi::{Direction, MAX_INTERFACES, Mode, Scratch, interface_flags, names::STAGE_FILTER_BASE},
    reason::Reason,
};

use crate::{access::Hook, account, flows};

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

/// The deliver stage by itself: looks up again what the entry stage had at hand.
#[inline(always)]
pub fn deliver<H: Hook>(hook: &H) -> u32 {
    let Some(scratch) = hook.scratch() else {
        return H::PASS;
    };
    // SAFETY: this CPU's element, left there by the entry stage of this very frame.
    deliver_from(hook, unsafe { &mut *scratch })
}

/// As [`deliver`], but only frames of conversations that have shown one of the troubles that the
/// filter wants; for the others it is the filter that did not match.
#[inline(always)]
pub fn deliver_troubled<H: Hook>(hook: &H) -> u32 {
    let Some(scratch) = hook.scratch() else {
        return H::PASS;
    };
    // SAFETY: as in deliver.
    let scratch = unsafe { &mut *scratch };
    if flows::has_shown_wanted(scratch) {
        deliver_from(hook, scratch)
    } else {
        unmatched::<H>(scratch)
    }
}

#[inline(always)]
fn deliver_from<H: Hook>(hook: &H, scratch: &mut Scratch) -> u32 {
    match account::counters(scratch.interface.slot, H::DIRECTION) {
        Some(counters) => hook.deliver(scratch, counters),
        None => H::PASS,
    }
}

/// What the program returns for a frame that is not captured.
#[inline(always)]
fn unmatched<H: Hook>(scratch: &Scratch) -> u32 {
    let interface = &scratch.interface;
    let drops = interface.mode == Mode::Mirror as u8
        && interface.flags & interface_flags::DROP_UNMATCHED != 0;
    match H::DIRECTION {
        Direction::Ingress if drops => xdp_action::XDP_DROP,
        _ => H::PASS,
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
