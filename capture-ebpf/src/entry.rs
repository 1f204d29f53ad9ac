//! The entry stage: parse, account, TCP step.

use capture_common::{
    abi::{Counters, Direction, Scratch, innermost, interface_flags},
    flow::{Sight, tcp_flags},
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
    let wire_length = length + hook.tag_length();
    account::frame(counters, hook.wire_frames(), wire_length);
    let Some(scratch) = hook.scratch() else {
        return H::PASS;
    };
    // SAFETY: this CPU's element; see Scratch for why nobody else touches it meanwhile.
    let scratch = unsafe { &mut *scratch };
    scratch.forwarded = u8::from(is_forwarded(hook));
    if scratch.forwarded != 0 && !hook.may_open_or_refuse() {
        return H::PASS; // It was looked at when it came in; here it only counts as having left.
    }
    look(hook, length, scratch);
    if recall(&scratch.forwarded) != 0 {
        left(scratch, counters);
        return H::PASS;
    }
    let captures = interface.flags & interface_flags::CAPTURE != 0;
    analyse(hook, scratch, (ifindex, wire_length), captures, counters);
    if !captures {
        return H::PASS;
    }
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

/// Parses the frame, and what it carries if it is a tunnel's.
#[inline(always)]
fn look<H: Hook>(hook: &H, length: u32, scratch: &mut Scratch) {
    let [outer, inner] = &mut scratch.packets;
    scratch.innermost = Scratch::OUTER as u8;
    scratch.reason = hook.parse(length, outer);
    if outer.has(layers::TUNNEL) {
        scratch.innermost = Scratch::INNER as u8;
        scratch.reason = hook.parse_inner(length, outer, inner);
    }
}

/// Counts what was found, and lets conversations know of it.
#[inline(always)]
fn analyse<H: Hook>(
    hook: &H,
    scratch: &mut Scratch,
    (ifindex, wire_length): (u32, u32),
    captures: bool,
    counters: &mut Counters,
) {
    let packet = innermost(&scratch.packets, &scratch.innermost);
    account::parsed(counters, packet, recall(&scratch.reason));
    let part = conversation_part(packet);
    scratch.sight = Sight {
        now: if captures || part != Part::None { clock::now() } else { 0 },
        ifindex,
        frames: hook.wire_frames() as u32,
        bytes: wire_length,
        ttl: packet.ttl,
        leaves: H::DIRECTION as u8,
        padding: [0; 2],
    };
    let ip_version = packet.ip_version;
    scratch.seen.classes.0 = 0;
    match part {
        Part::Segment => {
            flows::observe(scratch, counters);
            account::classes(counters, ip_version, recall(&scratch.seen.classes));
        }
        Part::IcmpError => flows::icmp_error(scratch),
        Part::None => {}
    }
}

/// What a packet is to a conversation.
#[derive(PartialEq)]
enum Part {
    Segment,
    IcmpError,
    None,
}

/// The TCP step is for whole segments only: what a fragment says of its payload is not the truth.
#[inline(always)]
fn conversation_part(packet: &Packet) -> Part {
    if packet.depth != depth::TRANSPORT {
        Part::None
    } else if packet.protocol == TCP && !packet.has(layers::FRAGMENT) {
        Part::Segment
    } else if packet.has(layers::QUOTE) {
        Part::IcmpError
    } else {
        Part::None
    }
}

/// Takes note of a forwarded frame that leaves, if it opens a connection or is an ICMP error.
#[inline(always)]
fn left(scratch: &mut Scratch, counters: &mut Counters) {
    let packet = innermost(&scratch.packets, &scratch.innermost);
    match conversation_part(packet) {
        Part::Segment if packet.segment.has(tcp_flags::SYN) => flows::syn_left(scratch, counters),
        Part::IcmpError => flows::icmp_left(scratch),
        _ => {}
    }
}
