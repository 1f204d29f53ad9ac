//! Capture by trouble: only frames of conversations that have shown it are delivered.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod raw;

use std::os::fd::AsFd as _;

use aya::{
    maps::{MapFd, MapInfo},
    programs::{ProgramInfo, TestRun as _, TestRunOptions},
};
use capture_common::{
    abi::{
        Counters, Direction, FrameHeader, InterfaceConfig, KernelLoss, Mode, Scratch,
        interface_flags, names,
    },
    flow::shown,
};
use capture_user::{
    filter::{Filter, Unmatched},
    kernel::{FrameRing, Object, Settings, Tables},
};
use libbpf_sys::{
    BPF_F_XDP_HAS_FRAGS, BPF_JEQ, BPF_JMP, BPF_K, BPF_MEM, BPF_PROG_TYPE_SCHED_CLS,
    BPF_PROG_TYPE_XDP, BPF_ST, BPF_W, BPF_XDP, bpf_insn,
};
use raw::{call, copy, exit, instruction, load, put, set, set_map};

const SETTINGS: Settings = Settings { flows: 1024, ring_bytes: 1 << 16 };
/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const TCX_NEXT: u32 = u32::MAX;
const MAP_LOOKUP: i32 = 1;
const STACK: u8 = 10;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [203, 0, 113, 9];

/// The programs of one hook, with a filter that wants some trouble.
struct Rig {
    object: Object,
    tables: Tables,
    ring: FrameRing,
    direction: Direction,
}

impl Rig {
    fn new(direction: Direction, wanted: u32) -> Self {
        let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
        tables.set_interface(LOOPBACK, &capturing()).unwrap();
        let ring = object.take_frames().unwrap();
        let (info, [scratch, stages]) = match direction {
            Direction::Ingress => (
                object.xdp(names::XDP_INGRESS).unwrap().info().unwrap(),
                [names::XDP_SCRATCH, names::XDP_STAGES],
            ),
            Direction::Egress => (
                object.classifier(names::TC_EGRESS).unwrap().info().unwrap(),
                [names::TC_SCRATCH, names::TC_STAGES],
            ),
        };
        let (scratch, stages) = (map(&info, scratch), map(&info, stages));
        let program = filter(wanted, &scratch, &stages);
        let program = match direction {
            Direction::Ingress => load(BPF_PROG_TYPE_XDP, BPF_F_XDP_HAS_FRAGS, BPF_XDP, &program),
            Direction::Egress => load(BPF_PROG_TYPE_SCHED_CLS, 0, 0, &program),
        };
        put(&stages.as_fd(), names::STAGE_FILTER_BASE, &program);
        Self { object, tables, ring, direction }
    }

    /// What the program returns.
    fn run(&mut self, frame: &[u8]) -> u32 {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let result = match self.direction {
            Direction::Ingress => self.object.xdp(names::XDP_INGRESS).unwrap().test_run(options),
            Direction::Egress => {
                self.object.classifier(names::TC_EGRESS).unwrap().test_run(options)
            }
        };
        result.unwrap().return_value
    }

    /// Is this frame, which goes on in any case, captured?
    fn captures(&mut self, frame: &[u8]) -> bool {
        let before = self.counters();
        let pass = match self.direction {
            Direction::Ingress => XDP_PASS,
            Direction::Egress => TCX_NEXT,
        };
        assert_eq!(self.run(frame), pass);
        let captured = self.ring.next_record().map(|record| {
            assert_eq!(&record[FrameHeader::SIZE..][..frame.len()], frame);
        });
        let after = self.counters();
        let delivered = after.delivered_frames - before.delivered_frames;
        assert_eq!(delivered, u64::from(captured.is_some()));
        assert_eq!(after.matched_frames - before.matched_frames, delivered);
        captured.is_some()
    }

    fn counters(&self) -> Counters {
        self.tables.counters(0, self.direction).unwrap()
    }
}

fn capturing() -> InterfaceConfig {
    let flags = interface_flags::CAPTURE;
    InterfaceConfig { flags, snap_length: 262_144, ..InterfaceConfig::default() }
}

/// A map that a program uses.
fn map(info: &ProgramInfo, name: &str) -> MapFd {
    let ids = info.map_ids().unwrap().unwrap();
    let mut maps = ids.into_iter().map(|id| MapInfo::from_id(id).unwrap());
    maps.find(|map| map.name_as_str() == Some(name)).unwrap().fd().unwrap()
}

/// A filter that matches everything, of conversations that have shown what is wanted.
fn filter(wanted: u32, scratch: &MapFd, stages: &MapFd) -> Vec<bpf_insn> {
    let store = BPF_ST | BPF_MEM | BPF_W;
    let offset = Scratch::WANTED_TROUBLE_OFFSET as i16;
    let mut program = vec![
        copy(6, 1),
        instruction(store, STACK, 0, -4, 0),
        copy(2, STACK),
        instruction(libbpf_sys::BPF_ALU64 | libbpf_sys::BPF_ADD | BPF_K, 2, 0, 0, -4),
    ];
    program.extend(set_map(1, &scratch.as_fd()));
    program.push(call(MAP_LOOKUP));
    program.push(instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 6, 0));
    program.push(instruction(store, 0, 0, offset, wanted as i32));
    program.push(copy(1, 6));
    program.extend(set_map(2, &stages.as_fd()));
    program.push(set(3, names::STAGE_DELIVER_TROUBLED as i32));
    program.push(call(raw::TAIL_CALL));
    program.extend([set(0, 0), exit()]);
    program
}

fn ip(protocol: u8, [source, destination]: [[u8; 4]; 2], payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
    [&header[..], &source, &destination, payload].concat()
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], packet].concat()
}

/// A segment between a port of the client and port 80 of the server.
fn segment(from_client: bool, port: u16, flags: u8, numbers: [u32; 2], payload: &[u8]) -> Vec<u8> {
    let mut ports = [port, 80];
    let mut addresses = [CLIENT, SERVER];
    if !from_client {
        ports.reverse();
        addresses.reverse();
    }
    let mut tcp = ports.map(u16::to_be_bytes).concat();
    tcp.extend(numbers.map(u32::to_be_bytes).concat());
    tcp.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    tcp.extend(payload);
    ip(TCP, addresses, &tcp)
}

/// The start of a connection, up to the client's request; the sequence numbers start at 100 and 900.
fn connection(port: u16) -> [Vec<u8>; 4] {
    [
        segment(true, port, SYN, [100, 0], &[]),
        segment(false, port, SYN | ACK, [900, 101], &[]),
        segment(true, port, ACK, [101, 901], &[]),
        segment(true, port, ACK, [101, 901], b"hello"),
    ]
    .map(|packet| ethernet(&packet))
}

fn udp(addresses: [[u8; 4]; 2], ports: [u16; 2]) -> Vec<u8> {
    let mut datagram = ports.map(u16::to_be_bytes).concat();
    datagram.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    ip(UDP, addresses, &datagram)
}

/// "Port unreachable", from the server.
fn unreachable(quoted: &[u8]) -> Vec<u8> {
    ethernet(&ip(ICMP, [SERVER, CLIENT], &[&[3, 3, 0, 0, 0, 0, 0, 0], quoted].concat()))
}

fn in_vxlan(vni: u8, frame: &[u8]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, vni, 0][..], frame].concat();
    let [high, low] = (8 + payload.len() as u16).to_be_bytes();
    let [port_high, port_low] = 4789_u16.to_be_bytes();
    let header = [0xc0, 0, port_high, port_low, high, low, 0, 0];
    ethernet(&ip(UDP, [[192, 0, 2, 77], [192, 0, 2, 78]], &[&header[..], &payload].concat()))
}

#[test]
fn healthy_conversations_are_not_captured() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, shown::ANY);
        for frame in connection(1000) {
            assert!(!rig.captures(&frame));
        }
        assert!(!rig.captures(&ethernet(&segment(false, 1000, ACK, [901, 106], b"answer"))));
        assert!(!rig.captures(&ethernet(&segment(true, 1000, FIN | ACK, [106, 907], &[]))));
        assert!(!rig.captures(&ethernet(&udp([CLIENT, SERVER], [1000, 53]))));
        assert_eq!(rig.counters().received_frames, 7);
        assert_eq!(rig.counters().tcp[0].iter().sum::<u64>(), 0);
    }
}

/// From the retransmission on, that one included, both ways; the others not.
#[test]
fn a_conversation_is_captured_from_its_trouble_on() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, shown::RETRANSMISSION);
        for frame in connection(1000).iter().chain(&connection(2000)) {
            assert!(!rig.captures(frame));
        }
        assert!(rig.captures(&connection(1000)[3]), "the request again");
        assert!(rig.captures(&ethernet(&segment(false, 1000, ACK, [901, 106], b"answer"))));
        assert!(rig.captures(&ethernet(&segment(true, 1000, ACK, [106, 907], b"next"))));
        assert!(!rig.captures(&ethernet(&segment(false, 2000, ACK, [901, 106], b"answer"))));
    }
}

#[test]
fn other_trouble_than_the_wanted_is_none() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, shown::RESET | shown::ICMP_ERROR);
        for frame in connection(1000).iter().chain(&connection(1000)[3..]) {
            assert!(!rig.captures(frame));
        }
        assert_ne!(rig.counters().tcp[0].iter().sum::<u64>(), 0, "there was trouble");
        let reset = ethernet(&segment(false, 1000, RST, [901, 0], &[]));
        assert!(rig.captures(&reset));
        assert!(rig.captures(&connection(1000)[3]));
    }
}

#[test]
fn datagrams_are_captured_after_an_icmp_error_about_them() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, shown::ICMP_ERROR);
        let query = udp([CLIENT, SERVER], [1000, 53]);
        assert!(!rig.captures(&ethernet(&query)));
        assert!(rig.captures(&unreachable(&query)), "the error itself");
        assert!(rig.captures(&ethernet(&query)));
        assert!(rig.captures(&ethernet(&udp([SERVER, CLIENT], [53, 1000]))));
        assert!(!rig.captures(&ethernet(&udp([CLIENT, SERVER], [1001, 53]))));
        assert!(!rig.captures(&ethernet(&udp([CLIENT, SERVER], [53, 1000]))));
        let mut segment = ethernet(&segment(true, 1000, SYN, [1, 0], &[]));
        segment[36..38].copy_from_slice(&53_u16.to_be_bytes());
        assert!(!rig.captures(&segment), "the same endpoints, another protocol");
    }
}

/// Each of them comes right behind a frame of a troubled conversation, whose key is still there.
#[test]
fn frames_without_a_conversation_match_nothing() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, shown::ANY);
        let query = udp([CLIENT, SERVER], [1000, 53]);
        let mut later_fragment = ethernet(&query);
        later_fragment[21] = 1;
        let mut arp = ethernet(&query);
        arp[12..14].copy_from_slice(&[8, 6]);
        let echo = ip(ICMP, [CLIENT, SERVER], &[8, 0, 0, 0, 0, 1, 0, 1]);
        let other_protocol = ethernet(&ip(88, [CLIENT, SERVER], &query[20..]));
        let mut quoted_fragment = query.clone();
        quoted_fragment[7] = 1;
        let lonely = [
            arp,
            later_fragment,
            ethernet(&echo),
            other_protocol,
            unreachable(&quoted_fragment),
            ethernet(&query)[..38].to_vec(),
        ];
        for frame in &lonely {
            assert!(rig.captures(&unreachable(&query)));
            assert!(!rig.captures(frame), "{frame:?}");
            assert!(rig.captures(&ethernet(&query)));
            assert!(!rig.captures(frame), "{frame:?}");
        }
        assert!(rig.captures(&unreachable(&echo)), "an error with a quote of any protocol");
        let mut first_fragment = ethernet(&query);
        first_fragment[20] = 0x20;
        assert!(rig.captures(&first_fragment), "it has the ports");
    }
}

#[test]
fn the_innermost_packet_is_the_one_that_counts() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, shown::SYN_RETRANSMISSION);
        let [syn, ..] = connection(1000);
        assert!(!rig.captures(&in_vxlan(1, &syn)));
        assert!(rig.captures(&in_vxlan(1, &syn)));
        assert!(!rig.captures(&in_vxlan(2, &syn)), "another tunnel");
        assert!(!rig.captures(&syn), "no tunnel");
    }
}

/// Through the compiler, as the daemon does it.
#[test]
fn expression_and_trouble_must_both_match() {
    for direction in Direction::ALL {
        let mut rig = Rig::new(direction, 0);
        let filter = |rig: &mut Rig, expression: &str| {
            let trouble = "retransmission,icmp-error".parse().unwrap();
            let filter = Filter { expression: expression.parse().unwrap(), trouble };
            rig.tables.set_filter(0, &filter, 0, Unmatched::Pass).unwrap();
        };
        filter(&mut rig, "tcp port 80");
        for frame in connection(1000).iter().chain(&connection(2000)) {
            assert!(!rig.captures(frame));
        }
        let request = &connection(1000)[3];
        assert!(rig.captures(request));
        let query = udp([CLIENT, SERVER], [1000, 53]);
        assert!(!rig.captures(&unreachable(&query)));
        filter(&mut rig, "");
        assert!(rig.captures(&ethernet(&query)));
        assert!(rig.captures(request));
        assert!(!rig.captures(&ethernet(&segment(false, 2000, ACK, [901, 106], b"answer"))));
        filter(&mut rig, "udp");
        assert!(!rig.captures(request));
        assert!(rig.captures(&ethernet(&query)));
    }
}

#[test]
fn a_mirror_drops_what_is_unmatched_if_it_is_told_to() {
    let config = capturing();
    let drops = InterfaceConfig { flags: config.flags | interface_flags::DROP_UNMATCHED, ..config };
    let mirror = |config| InterfaceConfig { mode: Mode::Mirror as u8, ..config };
    let [syn, ..] = connection(1000);
    let query = ethernet(&udp([CLIENT, SERVER], [1000, 53]));
    let mut rig = Rig::new(Direction::Ingress, shown::RETRANSMISSION);
    for (config, verdict) in
        [(drops, XDP_PASS), (mirror(config), XDP_PASS), (mirror(drops), XDP_DROP)]
    {
        rig.tables.set_interface(LOOPBACK, &config).unwrap();
        assert_eq!(rig.run(&query), verdict, "{config:?}");
    }
    assert_eq!(rig.run(&syn), XDP_DROP);
    // Matched, but there is no socket: that is a loss, and the frame goes on.
    assert_eq!(rig.run(&syn), XDP_PASS);
    assert_eq!(rig.counters().matched_frames, 1);
    assert_eq!(rig.counters().lost_frames[KernelLoss::NoSocket as usize], 1);

    let mut rig = Rig::new(Direction::Egress, shown::RETRANSMISSION);
    rig.tables.set_interface(LOOPBACK, &mirror(drops)).unwrap();
    assert_eq!(rig.run(&query), TCX_NEXT, "what leaves is never dropped");
}
