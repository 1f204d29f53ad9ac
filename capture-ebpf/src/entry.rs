//! The entry stage: parse, account, TCP step.

use capture_common::{
    abi::{Direction, interface_flags},
    parse::{Packet, depth, layers, recall},
};

use crate::{access::Hook, account, clock, flows, interfaces, stages::call_filter};

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
    scratch.reason = hook.parse(length, &mut scratch.packet);
    account::parsed(counters, &scratch.packet, scratch.reason);
    let captures = interface.flags & interface_flags::CAPTURE != 0;
    let steps = is_whole_segment(&scratch.packet);
    if captures || steps {
        scratch.timestamp = clock::now();
    }
    scratch.classes =
        if steps { flows::observe(&scratch.packet, ifindex, scratch.timestamp) } else { 0 };
    account::classes(counters, scratch.packet.ip_version, recall(&scratch.classes));
    if !captures {
        return H::PASS;
    }
    scratch.frame_length = length;
    scratch.ifindex = ifindex;
    scratch.matched_rule = 0;
    scratch.interface = *interface;
    call_filter(hook, scratch);
    // No filter. Not by a tail call: without one, two look-ups of this frame's places are saved.
    hook.deliver(scratch, counters)
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

/// The TCP step is for whole segments only: what a fragment says of its payload is not the truth.
#[inline(always)]
fn is_whole_segment(packet: &Packet) -> bool {
    packet.protocol == TCP && packet.depth == depth::TRANSPORT && !packet.has(layers::FRAGMENT)
}
