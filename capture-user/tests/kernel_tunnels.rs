//! Tunnels under the real programs: what they carry is counted, what carries them is filtered.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::{
    abi::{Direction, InterfaceConfig, interface_flags, names},
    class::Class,
    flow::{FlowKey, tunnel},
    icmp,
    parse::{Packet, parse, parse_inner},
    reason::Reason,
};
use capture_user::{
    filter::{Filter, Unmatched},
    kernel::{Object, Settings, Tables},
};

const SETTINGS: Settings = Settings { flows: 1024, ring_bytes: 1 << 16 };
/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const XDP_PASS: u32 = 2;
/// The limit of the kernel is a million for each program.
const MOST_VERIFIED: u32 = 170_000;

const SYN: u8 = 2;
const VXLAN: u16 = 4789;
const ICMP: u8 = 1;
const IP_IN_IP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;

fn load(config: InterfaceConfig) -> (Object, Tables) {
    let (object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables.set_interface(LOOPBACK, &config).unwrap();
    (object, tables)
}

fn run(object: &mut Object, frame: &[u8]) {
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
    let result = object.xdp(names::XDP_INGRESS).unwrap().test_run(options).unwrap();
    assert_eq!(result.return_value, XDP_PASS);
}

fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
    [&header[..], &[192, 0, 2, 1, 203, 0, 113, 9], payload].concat()
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], packet].concat()
}

fn tcp(flags: u8) -> Vec<u8> {
    ip(TCP, &[0x9c, 0x40, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, flags, 0xff, 0, 0, 0, 0, 0])
}

fn in_vxlan(vni: u8, packet: &[u8]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, vni, 0][..], &ethernet(packet)].concat();
    let [high, low] = (8 + payload.len() as u16).to_be_bytes();
    let [port_high, port_low] = VXLAN.to_be_bytes();
    let header = [0xc0, 0, port_high, port_low, high, low, 0, 0];
    ethernet(&ip(UDP, &[&header[..], &payload].concat()))
}

fn in_gre(key: u8, packet: &[u8]) -> Vec<u8> {
    ethernet(&ip(GRE, &[&[0x20, 0, 8, 0, 0, 0, 0, key][..], packet].concat()))
}

fn in_erspan(session: u8, packet: &[u8]) -> Vec<u8> {
    let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 9, 0x10, 0, 0, session, 0, 0, 0, 0];
    ethernet(&ip(GRE, &[&header[..], &ethernet(packet)].concat()))
}

/// 802.11: quality of service, from an access point.
fn in_wlan(packet: &[u8]) -> Vec<u8> {
    let header = [&[0, 0, 0x82, 0, 0x88, 1][..], &[0; 24]].concat();
    let llc = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    ethernet(&ip(GRE, &[&header, &llc[..], packet].concat()))
}

fn in_ip(packet: &[u8]) -> Vec<u8> {
    ethernet(&ip(IP_IN_IP, packet))
}

/// Addresses mean something in their tunnel only.
#[test]
fn trouble_in_tunnels_is_counted_for_each_tunnel() {
    let (mut object, tables) = load(InterfaceConfig::default());
    let syn = tcp(SYN);
    let frames = [
        ethernet(&syn),
        in_vxlan(1, &syn),
        in_vxlan(2, &syn),
        in_gre(1, &syn),
        in_gre(2, &syn),
        in_erspan(1, &syn),
        in_erspan(2, &syn),
        in_wlan(&syn),
        in_ip(&syn),
    ];
    let resent = || tables.counters(0, Direction::Ingress).unwrap().tcp[0];
    for frame in &frames {
        run(&mut object, frame);
    }
    assert_eq!(resent().iter().sum::<u64>(), 0);
    assert_eq!(tables.flow_count().unwrap(), frames.len() as u64);
    for (number, frame) in frames.iter().enumerate() {
        run(&mut object, frame);
        assert_eq!(resent()[Class::SynRetransmission as usize], number as u64 + 1);
    }
    assert_eq!(resent().iter().sum::<u64>(), frames.len() as u64);
}

/// The key that the host makes of a frame finds what the kernel left.
#[test]
fn flows_in_tunnels_are_found_by_their_key() {
    let (mut object, tables) = load(InterfaceConfig::default());
    let frame = in_vxlan(42, &tcp(SYN));
    run(&mut object, &frame);
    let (mut outer, mut inner) = (Packet::default(), Packet::default());
    parse(&frame[..], frame.len() as u32, &mut outer).unwrap();
    parse_inner(&frame[..], frame.len() as u32, &outer, &mut inner).unwrap();
    let (key, _) = FlowKey::of(&inner);
    assert_eq!(key.tunnel, tunnel::vxlan(42));
    assert!(tables.flow(&key).unwrap().is_some());
    assert!(tables.flow(&FlowKey { tunnel: 0, ..key }).unwrap().is_none());
}

#[test]
fn icmp_and_reasons_in_tunnels_are_counted_as_outside() {
    let (mut object, tables) = load(InterfaceConfig::default());
    let unreachable = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &tcp(SYN)].concat();
    run(&mut object, &in_gre(1, &ip(ICMP, &unreachable)));
    run(&mut object, &in_ip(&ip(88, &[0; 8])));
    let mut no_vni = in_vxlan(1, &tcp(SYN));
    no_vni[42] = 0;
    run(&mut object, &no_vni);
    let counters = tables.counters(0, Direction::Ingress).unwrap();
    assert_eq!(counters.icmp[icmp::index(4, 3, 1)], 1);
    assert_eq!(counters.icmp.iter().sum::<u64>(), 1);
    assert_eq!(counters.unparsed_frames[Reason::OtherProtocol as usize], 1);
    assert_eq!(counters.unparsed_frames[Reason::BadVxlanHeader as usize], 1);
    assert_eq!(counters.unparsed_frames.iter().sum::<u64>(), 2);
    assert_eq!(tables.flow_count().unwrap(), 0);
}

/// As in tcpdump: `port` is that of the outer header.
#[test]
fn filters_see_the_outer_headers() {
    let flags = interface_flags::CAPTURE;
    let (mut object, mut tables) =
        load(InterfaceConfig { flags, snap_length: 262_144, ..InterfaceConfig::default() });
    let mut ring = object.take_frames().unwrap();
    let mut matches = |port: u16, frame: &[u8]| {
        let expression = format!("port {port}").parse().unwrap();
        let filter = Filter { expression, ..Filter::default() };
        tables.set_filter(0, &filter, 0, Unmatched::Pass).unwrap();
        run(&mut object, frame);
        ring.next_record().is_some()
    };
    let frame = in_vxlan(1, &tcp(SYN));
    assert!(matches(VXLAN, &frame));
    assert!(!matches(80, &frame));
    assert!(!matches(80, &in_ip(&tcp(SYN))));
    assert!(matches(80, &ethernet(&tcp(SYN))));
}

/// The verifier gives up after a million instructions, with all ways through a program counted, and
/// a later kernel's may take more ways: keep away from the limit.
#[test]
fn programs_are_far_from_the_verifiers_limit() {
    let (mut object, _tables) = load(InterfaceConfig::default());
    let xdp = [names::XDP_INGRESS, names::XDP_DELIVER, names::XDP_DELIVER_TROUBLED];
    let xdp = xdp.map(|name| (name, object.xdp(name).unwrap().info().unwrap()));
    let tc = [names::TC_EGRESS, names::TC_DELIVER, names::TC_DELIVER_TROUBLED];
    let tc = tc.map(|name| (name, object.classifier(name).unwrap().info().unwrap()));
    for (name, info) in xdp.into_iter().chain(tc) {
        // Kernels before 5.16 do not tell.
        let Some(count) = info.verified_instruction_count() else { continue };
        println!("{name}: {count} instructions verified");
        assert!(count < MOST_VERIFIED, "{name}: {count}");
    }
}

/// For the curious: what looking into a tunnel costs.
#[test]
fn programs_say_how_long_they_take() {
    let (mut object, _tables) = load(InterfaceConfig::default());
    let segment = tcp(0x10);
    for (name, frame) in [
        ("no tunnel", ethernet(&segment)),
        ("IP in IP", in_ip(&segment)),
        ("GRE", in_gre(1, &segment)),
        ("VXLAN", in_vxlan(1, &segment)),
        ("ERSPAN", in_erspan(1, &segment)),
        ("802.11", in_wlan(&segment)),
    ] {
        let options =
            TestRunOptions { data_in: Some(&frame), repeat: 1_000_000, ..TestRunOptions::new() };
        let result = object.xdp(names::XDP_INGRESS).unwrap().test_run(options).unwrap();
        println!("ingress, counting, {name}: {:?} per packet", result.duration);
    }
}
