//! Which register and which bytes of the stack hold what, and the numbers that the kernel fixes.

use super::instruction::Register;

/// The context.
pub const CONTEXT: Register = Register::R6;
/// A of the classic program.
pub const A: Register = Register::R7;
/// X of the classic program.
pub const X: Register = Register::R8;
/// First byte of the frame, in the version that reads directly.
pub const DATA: Register = Register::R9;
/// Behind its last byte in the first buffer; no helper is called while it is needed.
pub const DATA_END: Register = Register::R5;

/// Stack, in bytes from the frame pointer: a word of the scratch memory.
pub const fn scratch(word: u8) -> i16 {
    -4 * (word as i16 + 1)
}
/// Length of the frame.
pub const LENGTH: i16 = -72;
/// What a helper loads.
pub const BUFFER: i16 = -80;
/// The first bytes of a frame with its VLAN tag put in.
pub const WINDOW: i16 = -112;
/// Bytes of it: addresses, tag, Ethertype and two more.
pub const WINDOW_BYTES: u32 = 20;
/// Key of the scratch map.
pub const KEY: i16 = -120;
/// How often a loop may still go back. Each has its own place: what one has left over would be a state
/// of its own to the verifier in the next.
pub const fn rounds(number: usize) -> i16 {
    -128 - 8 * number as i16
}
/// As many places are left on the stack.
pub const MOST_LOOPS: usize = 40;

/// `offsetof(struct xdp_md, …)`.
pub mod xdp {
    pub const DATA: i16 = 0;
    pub const DATA_END: i16 = 4;
    pub const INGRESS_IFINDEX: i16 = 12;
}

/// `offsetof(struct __sk_buff, …)`.
pub mod skb {
    pub const LEN: i16 = 0;
    pub const VLAN_PRESENT: i16 = 20;
    pub const VLAN_TCI: i16 = 24;
    pub const VLAN_PROTO: i16 = 28;
    pub const IFINDEX: i16 = 40;
    pub const DATA: i16 = 76;
    pub const DATA_END: i16 = 80;
}

/// Numbers of helpers (`enum bpf_func_id`).
pub mod helper {
    pub const MAP_LOOKUP_ELEM: i32 = 1;
    pub const TAIL_CALL: i32 = 12;
    pub const SKB_LOAD_BYTES: i32 = 26;
    pub const XDP_GET_BUFF_LEN: i32 = 188;
    pub const XDP_LOAD_BYTES: i32 = 189;
}

/// Frames that leave are `PACKET_OUTGOING` (linux/if_packet.h), the others are something else.
pub const PACKET_OUTGOING: i32 = 4;
/// A frame that came in, whoever it is for.
pub const PACKET_HOST: i32 = 0;

/// Jumps back in one frame; `protochain` goes back once for each header that it skips.
pub const MOST_ROUNDS: i32 = 40;
