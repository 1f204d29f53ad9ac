//! The flow table: one entry per conversation.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::LruHashMap};
use capture_common::{
    class::Classes,
    flow::{Conversation, FlowKey},
    parse::Packet,
};

/// The daemon sets the real size when it loads the programs.
#[map]
static FLOWS: LruHashMap<FlowKey, Conversation> = LruHashMap::with_max_entries(65536, 0);

/// In the object's read-only data, since the stack is small.
static NEW: Conversation = Conversation::NEW;

/// Runs the TCP step on a segment; empty for one that is only a second sighting.
///
/// Not inlined: it has a stack of its own then, and the caller and the parser need most of theirs.
#[inline(never)]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, key and entry would each take their size of the small stack again"
)]
pub fn observe(packet: &Packet, ifindex: u32, now: u64) -> u32 {
    let (key, side) = FlowKey::of(packet);
    let conversation = match FLOWS.get_ptr_mut(&key) {
        Some(conversation) => conversation,
        None => {
            // Another CPU may have been faster: then its entry is found below.
            let _exists = FLOWS.insert(&key, &NEW, BPF_NOEXIST.into());
            match FLOWS.get_ptr_mut(&key) {
                Some(conversation) => conversation,
                None => return 0,
            }
        }
    };
    // SAFETY: elements of the map live at least until the program ends (RCU). The other direction
    // may be processed on another CPU at the same time: see Conversation for why that is harmless.
    let conversation = unsafe { &mut *conversation };
    conversation.observe(side, ifindex, &packet.segment, now).unwrap_or(Classes::NONE).0
}
