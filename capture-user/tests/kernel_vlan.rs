//! VLAN tags that lie beside the bytes of a frame that leaves: they are in what is captured.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod raw;

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
};

use capture_common::{
    abi::{Counters, Direction, FrameHeader, InterfaceConfig, interface_flags, names},
    class::Class,
};
use capture_user::kernel::{FrameRing, Object, Settings, Tables};
use libbpf_sys::{
    BPF_MAP_TYPE_PROG_ARRAY, BPF_PROG_TYPE_SCHED_CLS, bpf_map_create, bpf_prog_test_run_opts,
    bpf_test_run_opts,
};
use raw::{call, copy, exit, load, put, set, set_map};

const SETTINGS: Settings = Settings { flows: 1024, ring_bytes: 1 << 16 };
/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const TCX_NEXT: u32 = u32::MAX;
const VLAN_PUSH: i32 = 18;
const SERVICE: Tag = (0x88a8, 0xe00a);
const CUSTOMER: Tag = (0x8100, 20);

/// TPID and TCI.
type Tag = (u16, u16);

/// The egress program, and the programs that call it with tags on the frame.
struct Rig {
    _object: Object,
    tables: Tables,
    ring: FrameRing,
    stages: OwnedFd,
}

impl Rig {
    fn new(snap_length: u32) -> Self {
        let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
        let flags = interface_flags::CAPTURE;
        let config = InterfaceConfig { flags, snap_length, ..InterfaceConfig::default() };
        tables.set_interface(LOOPBACK, &config).unwrap();
        // SAFETY: the name is a C string, and no options are fine.
        let stages = unsafe {
            bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, c"raw".as_ptr(), 4, 4, 1, ptr::null())
        };
        assert!(stages >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the descriptor is new and nobody else's.
        let stages = unsafe { OwnedFd::from_raw_fd(stages) };
        put(&stages, 0, &object.classifier(names::TC_EGRESS).unwrap().fd().unwrap().as_fd());
        let ring = object.take_frames().unwrap();
        Self { _object: object, tables, ring, stages }
    }

    /// A program that puts tags onto the frame, the innermost first, and goes on as `egress`.
    fn pusher(&self, tags: &[Tag]) -> OwnedFd {
        let mut program = vec![copy(6, 1)];
        for (protocol, control) in tags {
            let protocol = protocol.to_be();
            program.extend([copy(1, 6), set(2, protocol.into()), set(3, (*control).into())]);
            program.push(call(VLAN_PUSH));
        }
        program.push(copy(1, 6));
        program.extend(set_map(2, &self.stages));
        program.extend([set(3, 0), call(raw::TAIL_CALL), set(0, 0), exit()]);
        load(BPF_PROG_TYPE_SCHED_CLS, 0, 0, &program)
    }

    fn run(&self, frame: &[u8], tags: &[Tag]) {
        let mut options = bpf_test_run_opts {
            sz: size_of::<bpf_test_run_opts>() as _,
            data_in: frame.as_ptr().cast(),
            data_size_in: frame.len() as u32,
            repeat: 1,
            ..bpf_test_run_opts::default()
        };
        let program = self.pusher(tags);
        // SAFETY: the options are initialised, and the frame that they point to outlives the call.
        let result =
            unsafe { bpf_prog_test_run_opts(program.as_raw_fd(), ptr::from_mut(&mut options)) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        assert_eq!(options.retval, TCX_NEXT, "egress was called");
    }

    /// Runs a frame with tags; expects it on the ring as it is on the wire, up to the snap length.
    fn expect(&mut self, frame: &[u8], tags: &[Tag], snap_length: usize) {
        let before = self.counters();
        self.run(frame, tags);
        let wire = on_wire(frame, tags);
        let captured = wire.len().min(snap_length);
        let record = self.ring.next_record().unwrap();
        let header = FrameHeader::from_bytes(record).unwrap();
        let lengths = (header.original_length as usize, header.captured_length as usize);
        assert_eq!(lengths, (wire.len(), captured));
        assert_eq!(header.direction(), Direction::Egress);
        assert_eq!(record[FrameHeader::SIZE..][..captured], wire[..captured], "{tags:?}");
        assert!(self.ring.next_record().is_none());
        let after = self.counters();
        assert_eq!(after.received_bytes - before.received_bytes, wire.len() as u64);
        assert_eq!(after.delivered_frames - before.delivered_frames, 1);
        assert_eq!(after.lost_frames, [0; _]);
    }

    fn counters(&self) -> Counters {
        self.tables.counters(0, Direction::Egress).unwrap()
    }
}

/// What tcpdump at the other end of the cable would show.
fn on_wire(frame: &[u8], tags: &[Tag]) -> Vec<u8> {
    let mut wire = frame.to_vec();
    for (protocol, control) in tags {
        let tag = [protocol.to_be_bytes(), control.to_be_bytes()].concat();
        wire.splice(12..12, tag);
    }
    wire
}

/// A frame without meaning; no two bytes next to each other are the same.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|byte| (byte * 7) as u8).collect()
}

/// Tagged and untagged frames around all sizes of records.
#[test]
fn the_tag_is_in_its_place_in_frames_of_every_size() {
    const ALL: usize = 262_144;
    let mut rig = Rig::new(ALL as u32);
    for size in [19, 60, 88, 89, 216, 217, 600, 601, 1064, 1065, 1514, 1528, 1529, 3000] {
        for length in size - 4..=size {
            let frame = noise(length);
            rig.expect(&frame, &[], ALL);
            rig.expect(&frame, &[CUSTOMER], ALL);
        }
    }
}

#[test]
fn the_inner_one_of_two_tags_is_in_the_bytes() {
    const ALL: usize = 262_144;
    let mut rig = Rig::new(ALL as u32);
    for length in [15, 60, 80, 81, 84, 85, 1514] {
        rig.expect(&noise(length), &[CUSTOMER, SERVICE], ALL);
    }
}

/// Also where the cut is in front of the tag, in it, or right behind it.
#[test]
fn the_snap_length_counts_the_tag() {
    for snap_length in (1..=20).chain([88, 89, 216, 1514]) {
        let mut rig = Rig::new(snap_length as u32);
        for tags in [&[][..], &[CUSTOMER], &[SERVICE], &[CUSTOMER, SERVICE]] {
            for length in [15, 84, 85, 1514] {
                rig.expect(&noise(length), tags, snap_length);
            }
        }
    }
}

#[test]
fn the_conversation_is_the_same_with_a_tag() {
    const SYN: u8 = 2;
    let rig = Rig::new(262_144);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64];
    frame.extend_from_slice(&[6, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9, 0x9c, 0x40, 0, 80]);
    frame.extend_from_slice(&[0, 0, 0, 7, 0, 0, 0, 0, 0x50, SYN, 0xff, 0, 0, 0, 0, 0]);
    for tags in [&[][..], &[CUSTOMER], &[CUSTOMER, SERVICE]] {
        rig.run(&frame, tags);
    }
    let [v4, _] = rig.counters().tcp;
    assert_eq!(v4[Class::SynRetransmission as usize], 2);
    assert_eq!(v4.iter().sum::<u64>(), 2);
    assert_eq!(rig.tables.flow_count().unwrap(), 1);
}
