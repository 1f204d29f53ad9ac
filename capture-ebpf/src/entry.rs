//! The entry stage: parse, account, TCP step.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_log_ebpf::warn;
use capture_common::{
    abi::{Counters, Direction, KernelLoss, Scratch, interface_flags},
    parse::{Packet, depth, layers, recall},
};

use crate::{
    access::Hook,
    account, flows, interfaces,
    stages::{call_deliver, call_filter},
};

const TCP: u8 = 6;

/// Everything that happens to a frame before the filter.
#[inline(always)]
pub fn frame<H: Hook>(hook: &H) -> u32 {
    let ifindex = hook.ifindex();
    let Some(interface) = interfaces::get(ifindex) else {
        return H::PASS;
    };
    let Some(counters) = account::counters(interface.slot, H::DIRECTION) else {
        return H::PASS;
    };
    let length = hook.length();
    account::frame(counters, hook.wire_frames(), length);
    if is_forwarded(hook) {
        return H::PASS; // It was looked at when it came in; here it only counts as having left.
    }
    let Some(scratch) = hook.scratch() else {
        return H::PASS;
    };
    // SAFETY: this CPU's element; see Scratch for why nobody else touches it meanwhile.
    let scratch = unsafe { &mut *scratch };
    look(hook, length, ifindex, counters, scratch);
    if interface.flags & interface_flags::CAPTURE == 0 {
        return H::PASS;
    }
    scratch.frame_length = length;
    scratch.ifindex = ifindex;
    scratch.matched_rule = 0;
    scratch.interface = *interface;
    call_filter(hook, scratch);
    call_deliver(hook, scratch);
    counters.matched_frames += 1;
    if account::lost(counters, KernelLoss::NoStage) {
        warn!(hook, "interface {}: no deliver stage, frames are not captured", ifindex);
    }
    H::PASS
}

/// At egress: did the frame come in by one of our interfaces?
#[inline(always)]
fn is_forwarded<H: Hook>(hook: &H) -> bool {
    match H::DIRECTION {
        Direction::Ingress => false,
        Direction::Egress => {
            let came_in_by = hook.came_in_by();
            came_in_by != 0 && interfaces::get(came_in_by).is_some()
        }
    }
}

/// Parses, accounts, and runs the TCP step: for what a tunnel carries instead of for the tunnel.
#[inline(always)]
fn look<H: Hook>(
    hook: &H,
    length: u32,
    ifindex: u32,
    counters: &mut Counters,
    scratch: &mut Scratch,
) {
    scratch.reason = hook.parse(length, &mut scratch.packet);
    if scratch.packet.has(layers::TUNNEL) {
        scratch.reason = hook.parse_inner(length, &scratch.packet, &mut scratch.inner);
        let reason = recall(&scratch.reason);
        analyse(counters, &scratch.inner, reason, ifindex, &mut scratch.classes);
    } else {
        let reason = scratch.reason;
        analyse(counters, &scratch.packet, reason, ifindex, &mut scratch.classes);
    }
}

/// Counts what was found, and runs the TCP step, which leaves its classes in a map.
#[inline(always)]
fn analyse(counters: &mut Counters, packet: &Packet, reason: u8, ifindex: u32, classes: &mut u32) {
    account::parsed(counters, packet, reason);
    *classes = step(packet, ifindex);
    account::classes(counters, packet.ip_version, recall(classes));
}

/// The TCP step, for whole segments only: what a fragment says of its payload is not the truth.
#[inline(always)]
fn step(packet: &Packet, ifindex: u32) -> u32 {
    if packet.protocol != TCP || packet.depth != depth::TRANSPORT || packet.has(layers::FRAGMENT) {
        return 0;
    }
    // SAFETY: the helper has no requirements.
    let now = unsafe { bpf_ktime_get_ns() };
    flows::observe(packet, ifindex, now)
}
