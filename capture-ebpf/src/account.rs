//! The counters: per CPU, so no atomics; always on, whatever the filter says.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use capture_common::{
    abi::{Counters, Direction, KernelLoss, MAX_INTERFACES, counters_index},
    class::Classes,
    icmp,
    parse::{Packet, depth},
    reason::Reason,
};

#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(2 * MAX_INTERFACES, 0);

/// The counters of this CPU for an interface and direction.
#[inline(always)]
pub fn counters(slot: u32, direction: Direction) -> Option<&'static mut Counters> {
    let counters = COUNTERS.get_ptr_mut(counters_index(slot, direction))?;
    // SAFETY: the pointer is to this CPU's element, which no other program of ours touches while
    // this one runs; the reference ends with the program.
    Some(unsafe { &mut *counters })
}

/// Counts a frame that came or went.
#[inline(always)]
pub fn frame(counters: &mut Counters, frames: u64, bytes: u32) {
    counters.received_frames += frames;
    counters.received_bytes += u64::from(bytes);
}

/// Counts why parsing stopped (a [`Scratch::reason`](capture_common::abi::Scratch::reason)), and ICMP messages.
#[inline(always)]
pub fn parsed(counters: &mut Counters, packet: &Packet, reason: u8) {
    if let Some(counter) = counters.unparsed_frames.get_mut(usize::from(reason)) {
        *counter += 1;
    }
    let is_icmp = match packet.ip_version {
        4 => packet.protocol == 1,
        6 => packet.protocol == 58,
        _ => false,
    };
    // A message with a damaged quote is a message all the same; one without a header is not.
    let has_header = packet.depth == depth::TRANSPORT
        || reason == Reason::TruncatedQuote as u8
        || reason == Reason::BadQuote as u8;
    if is_icmp && has_header {
        let index = icmp::index(packet.ip_version, packet.icmp_type, packet.icmp_code);
        if let Some(counter) = counters.icmp.get_mut(index) {
            *counter += 1;
        }
    }
}

/// Counts what the TCP step saw.
#[inline(always)]
pub fn classes(counters: &mut Counters, ip_version: u8, classes: Classes) {
    // Healthy segments have no class: one test for them all.
    if classes.is_empty() {
        return;
    }
    let by_class = if ip_version == 6 { &mut counters.tcp[1] } else { &mut counters.tcp[0] };
    for (number, count) in by_class.iter_mut().enumerate() {
        *count += u64::from(classes.0 >> number & 1);
    }
    let by_side =
        if ip_version == 6 { &mut counters.tcp_lost[1] } else { &mut counters.tcp_lost[0] };
    for (number, count) in by_side.iter_mut().enumerate() {
        *count += u64::from(classes.0 >> (Classes::SIDES_SHIFT + number as u32) & 1);
    }
}

/// Counts a matched frame that is lost here. Returns whether it is the first on this CPU.
#[inline(always)]
pub fn lost(counters: &mut Counters, stage: KernelLoss) -> bool {
    // Not by index: a bounds check that the compiler resolves late leaves a dead call of the panic
    // handler behind, and the verifier wants an exit at the end.
    match counters.lost_frames.get_mut(stage as usize) {
        Some(counter) => {
            *counter += 1;
            *counter == 1
        }
        None => false,
    }
}
