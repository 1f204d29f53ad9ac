//! The real programs under `BPF_PROG_RUN`: what they count, match, deliver and lose.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::{
    abi::{
        Counters, Direction, FrameHeader, InterfaceConfig, KernelLoss, Mode, interface_flags, names,
    },
    class::Class,
    flow::FlowKey,
    parse::{Packet, parse},
};
use capture_user::{
    filter::{Filter, Unmatched},
    kernel::{Object, Settings, Tables},
};

const SETTINGS: Settings = Settings { flows: 1024, ring_bytes: 1 << 16 };
/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

fn load(config: InterfaceConfig) -> (Object, Tables) {
    let (object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables.set_interface(LOOPBACK, &config).unwrap();
    (object, tables)
}

fn capturing() -> InterfaceConfig {
    InterfaceConfig {
        flags: interface_flags::CAPTURE,
        snap_length: 262_144,
        ..InterfaceConfig::default()
    }
}

fn run(object: &mut Object, frame: &[u8]) -> u32 {
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
    object.xdp(names::XDP_INGRESS).unwrap().test_run(options).unwrap().return_value
}

fn filter(expression: &str) -> Filter {
    Filter { expression: expression.parse().unwrap(), ..Filter::default() }
}

fn counters(tables: &Tables) -> Counters {
    tables.counters(0, Direction::Ingress).unwrap()
}

/// A UDP datagram to a port, in a frame of `length` bytes.
fn udp(port: u16, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend_from_slice(&((length - 14) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9, 0x30, 0x39]);
    frame.extend_from_slice(&port.to_be_bytes());
    frame.extend_from_slice(&((length - 34) as u16).to_be_bytes());
    frame.resize(length, 0x5a);
    frame
}

fn tcp(flags: u8, sequence: u32) -> Vec<u8> {
    let mut frame =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6];
    frame.extend_from_slice(&[0, 0, 192, 0, 2, 1, 203, 0, 113, 9, 0x9c, 0x40, 0, 80]);
    frame.extend_from_slice(&sequence.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 0x50, flags, 0xff, 0, 0, 0, 0, 0]);
    frame
}

#[test]
fn every_size_is_delivered_whole() {
    let (mut object, tables) = load(capturing());
    let mut ring = object.take_frames().unwrap();
    let sizes = [14, 60, 88, 89, 216, 217, 600, 601, 1064, 1065, 1514, 1528, 1529, 3000];
    for (number, size) in sizes.into_iter().enumerate() {
        let frame: Vec<u8> = (0..size).map(|byte| (byte * 7) as u8).collect();
        assert_eq!(run(&mut object, &frame), XDP_PASS);
        let record = ring.next_record().unwrap();
        let header = FrameHeader::from_bytes(record).unwrap();
        assert_eq!((header.original_length, header.captured_length), (size as u32, size as u32));
        assert_eq!((header.ifindex, header.slot), (LOOPBACK, 0));
        assert!(header.timestamp > 0);
        assert_eq!(&record[FrameHeader::SIZE..][..size], &frame);
        let counters = counters(&tables);
        assert_eq!(counters.delivered_frames, number as u64 + 1);
        assert_eq!(counters.matched_frames, number as u64 + 1);
    }
    assert_eq!(counters(&tables).received_bytes, sizes.iter().sum::<usize>() as u64);
}

#[test]
fn snap_length_cuts_the_copy_and_not_the_count() {
    let (mut object, tables) = load(InterfaceConfig { snap_length: 96, ..capturing() });
    let mut ring = object.take_frames().unwrap();
    run(&mut object, &udp(53, 1000));
    let record = ring.next_record().unwrap();
    let header = FrameHeader::from_bytes(record).unwrap();
    assert_eq!((header.original_length, header.captured_length), (1000, 96));
    assert_eq!(counters(&tables).received_bytes, 1000);
}

#[test]
fn counting_only_delivers_nothing() {
    let (mut object, tables) = load(InterfaceConfig::default());
    let mut ring = object.take_frames().unwrap();
    assert_eq!(run(&mut object, &udp(53, 100)), XDP_PASS);
    assert!(ring.next_record().is_none());
    let counters = counters(&tables);
    assert_eq!((counters.received_frames, counters.matched_frames), (1, 0));
}

#[test]
fn unknown_interfaces_are_left_alone() {
    let (mut object, mut tables) = load(capturing());
    tables.remove_interface(LOOPBACK).unwrap();
    assert_eq!(run(&mut object, &udp(53, 100)), XDP_PASS);
    assert_eq!(counters(&tables), Counters::ZERO);
}

#[test]
fn a_full_ring_loses_frames_and_counts_each() {
    let (mut object, tables) = load(capturing());
    let mut ring = object.take_frames().unwrap();
    for _ in 0..200 {
        assert_eq!(run(&mut object, &udp(53, 1000)), XDP_PASS);
    }
    let counters = counters(&tables);
    let lost = counters.lost_frames[KernelLoss::RingFull as usize];
    assert_eq!(counters.matched_frames, 200);
    assert!(lost > 0 && lost < 200, "{lost}");
    assert_eq!(counters.delivered_frames + lost, 200);
    let mut read = 0;
    while ring.next_record().is_some() {
        read += 1;
    }
    assert_eq!(read, counters.delivered_frames);
}

#[test]
fn the_filter_decides_from_one_frame_to_the_next() {
    let (mut object, mut tables) = load(capturing());
    let mut ring = object.take_frames().unwrap();
    tables.set_filter(0, &filter("udp port 53 or 123"), 0, Unmatched::Pass).unwrap();
    assert_eq!(run(&mut object, &udp(80, 100)), XDP_PASS);
    assert!(ring.next_record().is_none());
    assert_eq!(run(&mut object, &udp(53, 100)), XDP_PASS);
    assert!(ring.next_record().is_some());
    assert_eq!((counters(&tables).received_frames, counters(&tables).matched_frames), (2, 1));

    tables.set_filter(0, &filter("udp port 80"), 0, Unmatched::Pass).unwrap();
    run(&mut object, &udp(53, 100));
    assert!(ring.next_record().is_none());
    run(&mut object, &udp(80, 100));
    assert!(ring.next_record().is_some());

    tables.set_filter(1, &filter("tcp"), 0, Unmatched::Pass).unwrap();
    run(&mut object, &udp(80, 100));
    assert!(ring.next_record().is_some(), "the filter of another interface");

    tables.set_filter(0, &Filter::default(), 0, Unmatched::Pass).unwrap();
    run(&mut object, &udp(9, 100));
    assert!(ring.next_record().is_some(), "no filter, everything matches");
}

/// From the expression to the verdict: addresses cross every layer.
#[test]
fn expressions_match_addresses() {
    let (mut object, mut tables) = load(capturing());
    let mut ring = object.take_frames().unwrap();
    let mut matches = |expression: &str| {
        tables.set_filter(0, &filter(expression), 0, Unmatched::Pass).unwrap();
        run(&mut object, &udp(53, 100));
        ring.next_record().is_some()
    };
    for wanted in [
        "host 192.0.2.1",
        "host 203.0.113.9",
        "net 192.0.2.0/24",
        "net 203.0.113.8/31",
        "net 0.0.0.0/0",
        "udp and host 203.0.113.9 and port 53",
        "ip",
    ] {
        assert!(matches(wanted), "{wanted}");
    }
    for unwanted in [
        "host 192.0.2.2",
        "net 192.0.3.0/24",
        "net 2001:db8::/32",
        "net ::ffff:192.0.2.0/120",
        "host c000:201::",
        "tcp and host 203.0.113.9 and port 53",
        "host 203.0.113.9 and portrange 54-60",
        "ip6",
    ] {
        assert!(!matches(unwanted), "{unwanted}");
    }
}

#[test]
fn mirror_without_a_socket_lets_frames_pass() {
    let mirror = InterfaceConfig { mode: Mode::Mirror as u8, ..capturing() };
    let (mut object, mut tables) = load(mirror);
    assert_eq!(run(&mut object, &udp(53, 100)), XDP_PASS);
    let counted = counters(&tables);
    assert_eq!((counted.matched_frames, counted.delivered_frames), (1, 0));
    assert_eq!(counted.lost_frames[KernelLoss::NoSocket as usize], 1);

    tables.set_filter(0, &filter("tcp"), 0, Unmatched::Pass).unwrap();
    assert_eq!(run(&mut object, &udp(53, 100)), XDP_PASS, "unmatched, to be passed");
    tables.set_filter(0, &filter("tcp"), 0, Unmatched::Drop).unwrap();
    assert_eq!(run(&mut object, &udp(53, 100)), XDP_DROP, "unmatched, to be dropped");
    assert_eq!(run(&mut object, &tcp(0x10, 7)), XDP_PASS, "matched, but there is no socket");
    assert_eq!(counters(&tables).matched_frames, 2);
}

#[test]
fn a_syn_again_is_a_retransmission_and_a_reset_a_reset() {
    const SYN: u8 = 2;
    const RST: u8 = 4;
    let (mut object, tables) = load(InterfaceConfig::default());
    for frame in [tcp(SYN, 7), tcp(SYN, 7), tcp(SYN, 7), tcp(RST, 8)] {
        run(&mut object, &frame);
    }
    let [v4, v6] = counters(&tables).tcp;
    assert_eq!(v4[Class::SynRetransmission as usize], 2);
    assert_eq!(v4[Class::Reset as usize], 1);
    assert_eq!(v4.iter().sum::<u64>(), 3);
    assert_eq!(v6.iter().sum::<u64>(), 0);
    assert_eq!(tables.flow_count().unwrap(), 1);
}

/// What `capture_flows_evicted_total` is derived from.
#[test]
fn conversations_that_are_not_there_any_more_were_evicted() {
    const CONVERSATIONS: u16 = 5000;
    let (mut object, tables) = load(InterfaceConfig::default());
    let syn = |port: u16| {
        let mut frame = tcp(2, 7);
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame
    };
    let mut keys = Vec::new();
    for port in 1..=CONVERSATIONS {
        let frame = syn(port);
        run(&mut object, &frame);
        let mut packet = Packet::default();
        parse(&frame[..], frame.len() as u32, &mut packet).unwrap();
        keys.push(FlowKey::of(&packet).0);
    }
    let created = counters(&tables).flows_created;
    let present = tables.flow_count().unwrap();
    let found = keys.iter().filter(|key| tables.flow(key).unwrap().is_some()).count() as u64;
    assert_eq!((created, present), (CONVERSATIONS.into(), found));
    let limit = tables.flows_limit().unwrap();
    assert_eq!(limit, u64::from(SETTINGS.flows));
    assert!((limit / 2..=limit).contains(&present), "{present} of {limit}");
    // One that was forgotten is new again.
    run(&mut object, &syn(1));
    assert_eq!(counters(&tables).flows_created, created + 1);
    run(&mut object, &syn(1));
    assert_eq!(counters(&tables).flows_created, created + 1);
}

/// For the curious: the time that the ingress program takes for a frame in the cache.
#[test]
fn programs_say_how_long_they_take() {
    let (mut object, _tables) = load(InterfaceConfig::default());
    let frame = tcp(0x10, 9);
    let options =
        TestRunOptions { data_in: Some(&frame), repeat: 1_000_000, ..TestRunOptions::new() };
    let result = object.xdp(names::XDP_INGRESS).unwrap().test_run(options).unwrap();
    println!("ingress, counting one TCP flow: {:?} per packet", result.duration);
    assert_eq!(result.return_value, XDP_PASS);
}
