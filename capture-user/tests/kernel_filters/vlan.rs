//! A tag beside the bytes is as good as one among them.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use capture_user::{
    filter::{
        Expression,
        translate::{Hook, Instruction, Matched, Target, translate},
    },
    kernel::program,
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::{TAKEN_AT_TC, filters, frames, is_ancillary};

const TAG: u16 = 0x8100;

/// A program array of one slot.
fn program_array() -> OwnedFd {
    // SAFETY: the name ends with a zero, and no options are given.
    let map = unsafe {
        libbpf_sys::bpf_map_create(
            libbpf_sys::BPF_MAP_TYPE_PROG_ARRAY,
            c"tagged".as_ptr(),
            4,
            4,
            1,
            std::ptr::null(),
        )
    };
    assert!(map >= 0, "{}", io::Error::from_raw_os_error(-map));
    // SAFETY: a descriptor that was made for us just now.
    unsafe { OwnedFd::from_raw_fd(map) }
}

fn put(array: &OwnedFd, program: &OwnedFd) {
    let (slot, program) = (0_u32, program.as_raw_fd());
    // SAFETY: keys and values of a program array are 32 bits each.
    let code = unsafe {
        libbpf_sys::bpf_map_update_elem(
            array.as_raw_fd(),
            (&raw const slot).cast(),
            (&raw const program).cast(),
            0,
        )
    };
    assert_eq!(code, 0);
}

/// A tc program that puts a tag beside the bytes, and then calls what is in the array: the only way
/// to a frame with such a tag that `BPF_PROG_RUN` leaves.
fn pusher(array: &OwnedFd, control: u16) -> OwnedFd {
    const SKB_VLAN_PUSH: i32 = 18;
    const TAIL_CALL: i32 = 12;
    let instruction =
        |code, registers, immediate| Instruction { code, registers, offset: 0, immediate };
    program::load(
        Hook::Tc,
        &[
            instruction(0xbf, 0x16, 0),                      // r6 = r1
            instruction(0xb7, 0x02, i32::from(TAG.to_be())), // r2 = TPID
            instruction(0xb7, 0x03, control.into()),         // r3 = TCI
            instruction(0x85, 0, SKB_VLAN_PUSH),             // call
            instruction(0xbf, 0x61, 0),                      // r1 = r6
            instruction(0x18, 0x12, array.as_raw_fd()),      // r2 = array
            instruction(0, 0, 0),
            instruction(0xb7, 0x03, 0),      // r3 = 0
            instruction(0x85, 0, TAIL_CALL), // call
            instruction(0xb7, 0x00, 99),     // r0 = 99
            instruction(0x95, 0, 0),         // exit
        ],
    )
    .unwrap()
}

#[test]
fn a_tag_beside_the_bytes_is_seen_as_on_the_wire() {
    let mut random = SmallRng::seed_from_u64(6);
    let array = program_array();
    let mut made = frames::made();
    made.retain(|frame| TAKEN_AT_TC.contains(&frame.len()));
    let controls = [5, 0x6064, 0xffff];
    let pushers = controls.map(|control| (control, pusher(&array, control)));
    let mut matched = 0;
    for text in filters::corpus().filter(|text| !is_ancillary(text)) {
        let expression: Expression = text.parse().unwrap();
        let program = expression.compile(0).unwrap();
        let target = Target {
            hook: Hook::Tc,
            matched: Matched::Return(1),
            unmatched: 0,
            only_helpers: false,
        };
        put(&array, &program::load(Hook::Tc, &translate(&program, &target).unwrap()).unwrap());
        for number in 0..120 {
            let (control, pusher) = &pushers[random.random_range(0..pushers.len())];
            let mut frame = match number {
                0..60 => made[number % made.len()].clone(),
                _ => frames::mutated(&made, &mut random),
            };
            // What is on the wire, steered; the tag must stay what is pushed.
            let wire = frames::with_tag(&frame, TAG, *control);
            let wire = frames::steered(&program, &wire, &mut random);
            frame[..12].copy_from_slice(&wire[..12]);
            frame[12..].copy_from_slice(&wire[16..]);
            let wire = frames::with_tag(&frame, TAG, *control);
            let expected = program.matches(&wire, wire.len() as u32);
            if !TAKEN_AT_TC.contains(&frame.len()) {
                continue;
            }
            let run = program::run(pusher, &frame, 1).unwrap();
            assert_eq!(run.value, u32::from(expected), "`{text}`, wire {wire:02x?}");
            matched += u32::from(expected);
        }
    }
    assert!(matched > 1_000, "{matched}");
}
