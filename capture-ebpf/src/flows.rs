//! The tables of conversations: one entry each, and one more for those that are in trouble.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::LruHashMap};
use capture_common::{
    abi::{Counters, Scratch, innermost},
    flow::{Conversation, FlowKey, Side, Trouble, TroubleKey},
    parse::recall,
};

const TCP: u32 = 6;

/// The daemon sets the real size when it loads the programs.
#[map]
static FLOWS: LruHashMap<FlowKey, Conversation> = LruHashMap::with_max_entries(65536, 0);

/// As [`FLOWS`].
#[map]
static TROUBLE: LruHashMap<TroubleKey, Trouble> = LruHashMap::with_max_entries(4096, 0);

/// In the object's read-only data, since the stack is small.
static NEW: Conversation = Conversation::NEW;
static NO_TROUBLE: Trouble = Trouble::NEW;

/// Runs the TCP step on a segment; it sees nothing in one that is only a second sighting.
///
/// Not inlined: it has a stack of its own then, and the caller and the parser need most of theirs.
#[inline(never)]
pub fn observe(scratch: &mut Scratch, counters: &mut Counters) {
    let packet = innermost(&scratch.packets, &scratch.innermost);
    scratch.key.protocol = TCP;
    let side = scratch.key.flow.set(packet);
    let flow = &scratch.key.flow;
    let conversation = match FLOWS.get_ptr_mut(flow) {
        Some(conversation) => conversation,
        None => {
            // Another CPU may have been faster: then its entry is found below.
            if FLOWS.insert(flow, &NEW, BPF_NOEXIST.into()).is_ok() {
                counters.flows_created += 1;
            }
            match FLOWS.get_ptr_mut(flow) {
                Some(conversation) => conversation,
                None => return,
            }
        }
    };
    // SAFETY: elements of the map live at least until the program ends (RCU). The other direction
    // may be processed on another CPU at the same time: see Conversation for why that is harmless.
    let conversation = unsafe { &mut *conversation };
    conversation.observe(side, &packet.segment, &scratch.sight, &mut scratch.seen);
    if recall(&scratch.seen.classes).is_trouble() {
        trouble(scratch, side);
    }
}

/// Takes note of a segment in trouble.
///
/// Not inlined: rare, and large.
#[inline(never)]
fn trouble(scratch: &mut Scratch, side: Side) {
    if let Some(trouble) = entry(&scratch.key) {
        let segment = &innermost(&scratch.packets, &scratch.innermost).segment;
        trouble.observe(side, segment, &scratch.sight, &mut scratch.seen);
    }
}

/// The entry of a conversation in trouble, which is made if there is none.
#[inline(always)]
fn entry(key: &TroubleKey) -> Option<&'static mut Trouble> {
    if TROUBLE.get_ptr_mut(key).is_none() {
        // If another CPU was faster, its entry is found below.
        let _exists = TROUBLE.insert(key, &NO_TROUBLE, BPF_NOEXIST.into());
    }
    // SAFETY: as in observe; see Trouble for why two CPUs at once are harmless.
    TROUBLE.get_ptr_mut(key).map(|trouble| unsafe { &mut *trouble })
}

/// Joins an ICMP error to the conversation that it quotes.
#[inline(never)]
pub fn icmp_error(scratch: &mut Scratch) {
    let packet = innermost(&scratch.packets, &scratch.innermost);
    let Some(side) = scratch.key.set_quoted(packet) else {
        return;
    };
    if let Some(trouble) = entry(&scratch.key) {
        trouble.icmp_error(side, packet, &scratch.sight);
    }
}

/// Takes note of a forwarded SYN or SYN-ACK that leaves.
#[inline(never)]
pub fn syn_left(scratch: &mut Scratch, counters: &mut Counters) {
    let side = scratch.key.flow.set(innermost(&scratch.packets, &scratch.innermost));
    match FLOWS.get_ptr_mut(&scratch.key.flow) {
        // SAFETY: as in observe.
        Some(conversation) => unsafe { &mut *conversation }.syn_left(side),
        None => counters.syns_left_unknown += 1,
    }
}

/// Takes note of a forwarded ICMP error that leaves.
#[inline(never)]
pub fn icmp_left(scratch: &mut Scratch) {
    let packet = innermost(&scratch.packets, &scratch.innermost);
    if scratch.key.set_quoted(packet).is_none() {
        return;
    }
    if let Some(trouble) = TROUBLE.get_ptr_mut(&scratch.key) {
        // SAFETY: as in observe.
        unsafe { &mut *trouble }.icmp_left();
    }
}

/// Has the conversation of the frame shown a trouble that the filter wants, this frame included?
///
/// The key is made anew: that of the entry stage is of an earlier frame if this one is no TCP segment.
#[inline(never)]
pub fn has_shown_wanted(scratch: &mut Scratch) -> bool {
    let packet = innermost(&scratch.packets, &scratch.innermost);
    if scratch.key.set(packet).is_none() {
        return false;
    }
    match TROUBLE.get_ptr(&scratch.key) {
        // SAFETY: as in observe.
        Some(trouble) => unsafe { &*trouble }.shown() & scratch.wanted_trouble != 0,
        None => false,
    }
}
