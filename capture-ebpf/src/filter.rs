//! The first filter: rules of the configuration.

use aya_ebpf::{bindings::xdp_action, macros::map, maps::Array};
use capture_common::abi::{
    Direction, FilterRules, MAX_FILTER_RULES, MAX_INTERFACES, Scratch, interface_flags,
};

use crate::{access::Hook, stages::call_deliver};

#[map]
static FILTERS: Array<FilterRules> = Array::with_max_entries(2 * MAX_INTERFACES, 0);

/// Decides whether the frame is wanted, and calls the deliver stage if it is.
#[inline(always)]
pub fn frame<H: Hook>(hook: &H) -> u32 {
    let Some(scratch) = hook.scratch() else {
        return H::PASS;
    };
    // SAFETY: this CPU's element, left there by the entry stage of this very frame.
    let scratch = unsafe { &mut *scratch };
    let Some(rule) = matching_rule(scratch) else {
        return unmatched::<H>(scratch);
    };
    scratch.matched_rule = rule + 1;
    call_deliver(hook, scratch)
}

/// The number of the first rule that matches.
#[inline(always)]
fn matching_rule(scratch: &Scratch) -> Option<u32> {
    let index = scratch.interface.slot * 2 + (scratch.interface.filter_generation & 1);
    let rules = FILTERS.get(index)?;
    for number in 0..MAX_FILTER_RULES {
        if number as u32 >= rules.count {
            break;
        }
        if rules.rules[number].matches(&scratch.packets[Scratch::OUTER]) {
            return Some(number as u32);
        }
    }
    None
}

#[inline(always)]
fn unmatched<H: Hook>(scratch: &Scratch) -> u32 {
    let drops = scratch.interface.flags & interface_flags::DROP_UNMATCHED != 0;
    match H::DIRECTION {
        Direction::Ingress if drops => xdp_action::XDP_DROP,
        _ => H::PASS,
    }
}
