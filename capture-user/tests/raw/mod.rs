//! Programs of a few instructions that call the real ones.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd as _, OwnedFd},
    ptr,
};

use libbpf_sys::{
    BPF_ALU64, BPF_CALL, BPF_DW, BPF_EXIT, BPF_IMM, BPF_JMP, BPF_K, BPF_LD, BPF_MOV,
    BPF_PSEUDO_MAP_FD, BPF_X, bpf_insn, bpf_map_update_elem, bpf_prog_load, bpf_prog_load_opts,
    bpf_prog_type,
};

pub const TAIL_CALL: i32 = 12;

/// Any instruction.
pub fn instruction(code: u32, to: u8, from: u8, offset: i16, value: i32) -> bpf_insn {
    let mut instruction =
        bpf_insn { code: code as u8, off: offset, imm: value, ..bpf_insn::default() };
    instruction.set_dst_reg(to);
    instruction.set_src_reg(from);
    instruction
}

pub fn set(register: u8, value: i32) -> bpf_insn {
    instruction(BPF_ALU64 | BPF_MOV | BPF_K, register, 0, 0, value)
}

pub fn copy(to: u8, from: u8) -> bpf_insn {
    instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
}

pub fn call(helper: i32) -> bpf_insn {
    instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
}

pub fn exit() -> bpf_insn {
    instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
}

/// Sets a register to the address of a map.
pub fn set_map(register: u8, map: &impl AsRawFd) -> [bpf_insn; 2] {
    let code = BPF_LD | BPF_DW | BPF_IMM;
    [
        instruction(code, register, BPF_PSEUDO_MAP_FD as u8, 0, map.as_raw_fd()),
        instruction(0, 0, 0, 0, 0),
    ]
}

/// Loads a program, with what it must have in common with programs that it calls or that call it.
pub fn load(
    kind: bpf_prog_type,
    flags: u32,
    attach_type: u32,
    instructions: &[bpf_insn],
) -> OwnedFd {
    let mut options = bpf_prog_load_opts {
        sz: size_of::<bpf_prog_load_opts>() as _,
        expected_attach_type: attach_type,
        prog_flags: flags,
        ..bpf_prog_load_opts::default()
    };
    // SAFETY: the name and the licence are C strings, the instructions as many as told, and the
    // options initialised; all outlive the call.
    let program = unsafe {
        bpf_prog_load(
            kind,
            c"raw".as_ptr(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as _,
            ptr::from_mut(&mut options),
        )
    };
    assert!(program >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the descriptor is new and nobody else's.
    unsafe { OwnedFd::from_raw_fd(program) }
}

/// Puts a program into a slot of a program array.
pub fn put(map: &impl AsRawFd, slot: u32, program: &impl AsRawFd) {
    let value = program.as_raw_fd() as u32;
    // SAFETY: keys and values of program arrays have four bytes.
    let result = unsafe {
        bpf_map_update_elem(
            map.as_raw_fd(),
            ptr::from_ref(&slot).cast(),
            ptr::from_ref(&value).cast(),
            0,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}
