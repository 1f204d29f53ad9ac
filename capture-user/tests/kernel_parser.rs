//! Kernel and host parse alike: the real `ingress` and `egress` programs, run by `BPF_PROG_RUN` on
//! hand-built frames that are cut, mutated and randomised, against the same parser on the host.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use aya::{
    maps::{MapData, PerCpuArray},
    programs::{TestRun as _, TestRunOptions},
};
use capture_common::{
    abi::{Counters, Direction, InterfaceConfig, Scratch, names},
    icmp,
    parse::{Packet, Quote, layers, parse, parse_inner},
    reason::Reason,
};
use capture_user::kernel::{Object, Settings, Tables};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

const SETTINGS: Settings = Settings { flows: 1024, ring_bytes: 1 << 20 };
/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
/// Frames of the comparison at XDP, and (slower: each makes a socket buffer) at tc.
const XDP_FRAMES: usize = 1_000_000;
const TC_FRAMES: usize = 100_000;
/// `BPF_PROG_RUN` takes no frame shorter than an Ethernet header.
const SHORTEST: usize = 14;
const XDP_PASS: u32 = 2;
const TCX_NEXT: u32 = u32::MAX;

fn ethernet(ethertype: u16, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(rest);
    frame
}

fn ipv4(protocol: u8, options: usize, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend_from_slice(&((header + payload.len()) as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet.extend_from_slice(&fragment.to_be_bytes());
    packet.extend_from_slice(&[64, protocol, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9]);
    packet.resize(header, 1);
    packet.extend_from_slice(payload);
    packet
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[next, 64]);
    packet.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend_from_slice(payload);
    packet
}

fn tcp() -> Vec<u8> {
    let mut segment =
        vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x18, 0xff, 0, 0, 0, 0, 0];
    segment.extend_from_slice(&[2, 4, 5, 0xb4]);
    segment.extend_from_slice(b"GET / HTTP/1.1");
    segment
}

fn udp() -> Vec<u8> {
    vec![0x14, 0xe9, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]
}

fn icmp_error(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(quoted);
    message
}

/// An ICMPv6 redirect with these options and then a packet, in an option of this kind.
fn redirect(options: &[u8], kind: u8) -> Vec<u8> {
    let quoted = ipv6(17, &udp());
    let units = (8 + quoted.len()).div_ceil(8) as u8;
    let mut option = [&[kind, units, 0, 0, 0, 0, 0, 0], &quoted[..]].concat();
    option.resize(usize::from(units) * 8, 0);
    icmp_error(137, 0, &[&[0; 32], options, &option].concat())
}

fn tagged(tags: usize, ethertype: u16, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for tag in 1..tags {
        body.extend_from_slice(&[0, tag as u8, 0x81, 0]);
    }
    body.extend_from_slice(&[0, 9]);
    body.extend_from_slice(&ethertype.to_be_bytes());
    body.extend_from_slice(rest);
    ethernet(0x88a8, &body)
}

fn udp_to(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0xc0, 0];
    datagram.extend_from_slice(&port.to_be_bytes());
    datagram.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    datagram
}

fn vxlan(flags: u8, inner: &[u8]) -> Vec<u8> {
    udp_to(4789, &[&[flags, 0, 0, 0, 1, 2, 3, 0][..], inner].concat())
}

fn geneve(start: [u8; 4], inner: &[u8]) -> Vec<u8> {
    let options = usize::from(start[0] & 0x3f) * 4;
    let header = [&start[..], &[3, 2, 1, 0], &vec![0x55; options]].concat();
    udp_to(6081, &[&header, inner].concat())
}

/// The optional fields hold the key 0x01020304, wherever it is.
fn gre(start: [u8; 4], inner: &[u8]) -> Vec<u8> {
    let fields = (start[0] & 0xb0).count_ones() as usize;
    [&start[..], &[1, 2, 3, 4].repeat(fields), inner].concat()
}

/// Mirrored frames of all types, one of them cut by the mirror, and 802.11.
fn only_in_gre(packet: &[u8]) -> Vec<Vec<u8>> {
    let frame = &ethernet(0x0800, packet)[..];
    let two = |flag| [&[0x10, 9, flag, 3, 0, 0, 0, 7][..], frame].concat();
    let three = |last: u8, between: &[u8]| {
        [&[0x20, 9, 0, 3, 0, 0, 0, 0, 0, 0, 0x80, last][..], between, frame].concat()
    };
    let wlan = |control: [u8; 2], between: &[u8]| {
        let llc = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
        [&control[..], &[0; 22], between, &llc, packet].concat()
    };
    let v4 = |start, payload: &[u8]| ethernet(0x0800, &ipv4(47, 0, 0, &gre(start, payload)));
    let aruba = |payload: &[u8]| v4([0, 0, 0x82, 0], payload);
    vec![
        v4([0, 0, 0x88, 0xbe], frame),
        v4([0x10, 0, 0x88, 0xbe], &two(0)),
        v4([0x10, 0, 0x88, 0xbe], &two(4)[..60]),
        v4([0x10, 0, 0x88, 0xbe], frame),
        v4([0x10, 0, 0x22, 0xeb], &three(0, &[])),
        v4([0x10, 0, 0x22, 0xeb], &three(1, &[0; 8])),
        aruba(&wlan([0x08, 1], &[])),
        aruba(&wlan([0x88, 2], &[0; 2])),
        aruba(&wlan([0x88, 0x83], &[0; 12])),
        aruba(&wlan([0xc8, 1], &[0; 2])),
        aruba(&wlan([0x88, 1], &[0x80, 0])),
        aruba(&wlan([0x88, 5], &[0; 2])),
    ]
}

/// Tunnels of all kinds, in one another, and some that are not followed.
fn tunnels() -> Vec<Vec<u8>> {
    let v4_tcp = ipv4(6, 0, 0, &tcp());
    let v6_tcp = ipv6(6, &tcp());
    let error = ipv4(1, 0, 0, &icmp_error(3, 4, &v4_tcp));
    let fragment = [&[6, 0, 0, 1, 0, 0, 0, 7][..], &tcp()].concat();
    let labels = [0, 1, 0, 64, 0, 1, 1, 64];
    let in_vxlan = vxlan(8, &ethernet(0x0800, &v4_tcp));
    let in_gre = |inner: &[u8]| ipv4(47, 0, 0, &gre([0, 0, 8, 0], inner));
    let v4 = |protocol, payload: &[u8]| ethernet(0x0800, &ipv4(protocol, 0, 0, payload));
    let v6 = |protocol, payload: &[u8]| ethernet(0x86dd, &ipv6(protocol, payload));
    vec![
        v4(4, &v4_tcp),
        v4(41, &v6_tcp),
        v6(4, &v4_tcp),
        v6(41, &ipv6(44, &fragment)),
        v4(4, &ipv4(17, 0, 0x0010, &udp())),
        v4(47, &gre([0xb0, 0, 8, 0], &v4_tcp)),
        v6(47, &gre([0x20, 0, 0x86, 0xdd], &v6_tcp)),
        v4(47, &gre([0x90, 0, 0x65, 0x58], &tagged(2, 0x0800, &error))),
        v4(47, &gre([0, 0, 0x88, 0x47], &[&labels, &v6_tcp[..]].concat())),
        v4(47, &gre([0x30, 1, 0x88, 0x0b], &v4_tcp)),
        v4(47, &gre([0, 0, 0x20, 1], &[0; 16])),
        v4(17, &in_vxlan),
        v6(17, &vxlan(8, &tagged(1, 0x86dd, &ipv6(58, &icmp_error(128, 0, &[0; 8]))))),
        v4(17, &vxlan(8, &ethernet(0x0806, &[0; 28]))),
        v4(17, &vxlan(0, &ethernet(0x0800, &v4_tcp))),
        ethernet(0x0800, &ipv4(17, 0, 0x2000, &in_vxlan)),
        v4(17, &geneve([0, 0, 8, 0], &v4_tcp)),
        v6(17, &geneve([2, 0x40, 0x65, 0x58], &ethernet(0x0800, &error))),
        v4(17, &geneve([0, 0x80, 0x65, 0x58], &v4_tcp)),
        v4(17, &geneve([0x80, 0, 8, 0], &v4_tcp)),
        v4(17, &vxlan(8, &ethernet(0x0800, &in_gre(&v4_tcp)))),
        v4(47, &gre([0, 0, 8, 0], &in_gre(&in_gre(&v4_tcp)))),
    ]
}

/// One of everything that the parser knows, and some that it does not.
fn corpus() -> Vec<Vec<u8>> {
    let v4_tcp = ipv4(6, 0, 0, &tcp());
    let v6_tcp = ipv6(6, &tcp());
    let routing = |next: u8| [&[next, 0, 4, 0, 0, 0, 0, 0][..], &tcp()].concat();
    let fragment = |offset: u8| [&[6, 0, 0, offset, 0, 0, 0, 7][..], &tcp()].concat();
    let chain: Vec<u8> = (0..7).flat_map(|_| [60, 0, 1, 4, 0, 0, 0, 0]).collect();
    let mpls = |depth: usize, packet: &[u8]| {
        let mut body: Vec<u8> = (1..depth).flat_map(|_| [0, 1, 0, 64]).collect();
        body.extend_from_slice(&[0, 1, 1, 64]);
        body.extend_from_slice(packet);
        ethernet(0x8847, &body)
    };
    let pppoe = |protocol: u16, packet: &[u8]| {
        let mut body = vec![0x11, 0, 0, 1, 0, 60];
        body.extend_from_slice(&protocol.to_be_bytes());
        body.extend_from_slice(packet);
        ethernet(0x8864, &body)
    };
    vec![
        ethernet(0x0800, &v4_tcp),
        ethernet(0x0800, &ipv4(6, 12, 0, &tcp())),
        ethernet(0x0800, &ipv4(17, 40, 0, &udp())),
        ethernet(0x0800, &ipv4(17, 0, 0x2000, &udp())),
        ethernet(0x0800, &ipv4(17, 0, 0x0010, &udp())),
        ethernet(0x0800, &ipv4(132, 0, 0, &[0; 16])),
        ethernet(0x0800, &ipv4(1, 0, 0, &icmp_error(3, 3, &ipv4(17, 0, 0, &udp())))),
        ethernet(0x0800, &ipv4(1, 0, 0, &icmp_error(11, 0, &ipv4(6, 8, 0, &tcp())))),
        ethernet(0x0800, &ipv4(1, 0, 0, &icmp_error(8, 0, &[0; 32]))),
        ethernet(0x0800, &ipv4(88, 0, 0, &[0; 16])),
        ethernet(0x86dd, &v6_tcp),
        ethernet(0x86dd, &ipv6(17, &udp())),
        ethernet(0x86dd, &ipv6(43, &routing(6))),
        ethernet(0x86dd, &ipv6(44, &fragment(0))),
        ethernet(0x86dd, &ipv6(44, &fragment(1))),
        ethernet(0x86dd, &ipv6(44, &fragment(8))),
        ethernet(0x86dd, &ipv6(60, &chain)),
        ethernet(0x86dd, &ipv6(59, &[])),
        ethernet(0x86dd, &ipv6(58, &icmp_error(1, 4, &ipv6(17, &udp())))),
        ethernet(0x86dd, &ipv6(58, &icmp_error(135, 0, &[0; 24]))),
        ethernet(0x86dd, &ipv6(58, &redirect(&[2, 1, 0, 0, 0, 0, 0, 0], 4))),
        ethernet(0x86dd, &ipv6(58, &redirect(&[], 4))),
        ethernet(0x86dd, &ipv6(58, &redirect(&[], 0))),
        tagged(1, 0x0800, &v4_tcp),
        tagged(4, 0x86dd, &v6_tcp),
        tagged(5, 0x0800, &v4_tcp),
        mpls(1, &v4_tcp),
        mpls(6, &v6_tcp),
        mpls(7, &v4_tcp),
        pppoe(0x0021, &v4_tcp),
        pppoe(0x0057, &v6_tcp),
        pppoe(0xc021, &[1, 1, 0, 4]),
        ethernet(0x0806, &[0; 28]),
    ]
    .into_iter()
    .chain(tunnels())
    .chain(only_in_gre(&v4_tcp))
    .collect()
}

/// The next frame: one of the corpus as it is, cut, with some bytes changed, or noise.
fn next_frame(random: &mut SmallRng, corpus: &[Vec<u8>], frame: &mut Vec<u8>) {
    frame.clear();
    frame.extend_from_slice(&corpus[random.random_range(0..corpus.len())]);
    match random.random_range(0..10) {
        0 => {}
        1..=3 => frame.truncate(random.random_range(SHORTEST..=frame.len().max(SHORTEST))),
        4..=8 => {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(SHORTEST - 2..frame.len());
                frame[at] = random.random();
            }
        }
        _ => {
            let length = random.random_range(SHORTEST..200);
            frame.resize(length, 0);
            random.fill(&mut frame[SHORTEST - 2..]);
        }
    }
}

/// What the host makes of a frame, in the form in which the program leaves it.
fn on_host(frame: &[u8]) -> Scratch {
    let mut scratch = Scratch::default();
    let length = frame.len() as u32;
    let mut result = parse(frame, length, &mut scratch.packets[0]);
    if scratch.packets[0].has(layers::TUNNEL) {
        let [outer, inner] = &mut scratch.packets;
        result = parse_inner(frame, length, outer, inner);
    }
    scratch.reason = result.map_or_else(|reason| reason as u8, |()| Scratch::PARSED);
    scratch
}

/// Outer and inner packet and the reason, without what an earlier frame may have left behind.
fn settled(mut scratch: Scratch) -> (Packet, Packet, u8) {
    if !scratch.packets[0].has(layers::TUNNEL) {
        scratch.packets[1] = Packet::default();
    }
    for packet in &mut scratch.packets {
        if !packet.has(layers::QUOTE) {
            packet.quote = Quote::default();
        }
    }
    (scratch.packets[0], scratch.packets[1], scratch.reason)
}

fn count(counters: &mut Counters, packet: &Packet, reason: u8) {
    if let Some(counter) = counters.unparsed_frames.get_mut(usize::from(reason)) {
        *counter += 1;
    }
    let is_icmp = matches!((packet.ip_version, packet.protocol), (4, 1) | (6, 58));
    let quotes = [Reason::TruncatedQuote as u8, Reason::BadQuote as u8];
    if is_icmp && (reason == Scratch::PARSED || quotes.contains(&reason)) {
        counters.icmp[icmp::index(packet.ip_version, packet.icmp_type, packet.icmp_code)] += 1;
    }
}

/// Runs `frames` frames through `run` and compares what it leaves in the scratch with the host.
fn compare(
    frames: usize,
    direction: Direction,
    scratch: &PerCpuArray<MapData, Scratch>,
    tables: &Tables,
    mut run: impl FnMut(&[u8]) -> bool,
) -> Counters {
    let cpu = 0;
    let (mut random, corpus) = (SmallRng::seed_from_u64(2026), corpus());
    let (mut frame, mut expected) = (Vec::new(), Counters::ZERO);
    for number in 0..frames {
        if number < corpus.len() {
            frame.clone_from(&corpus[number]);
        } else {
            next_frame(&mut random, &corpus, &mut frame);
        }
        if !run(&frame) {
            continue;
        }
        let found = settled(scratch.get(&0, 0).unwrap()[cpu]);
        let host @ (outer, inner, reason) = settled(on_host(&frame));
        assert_eq!(found, host, "frame {number}: {frame:02x?}");
        let counted = if outer.has(layers::TUNNEL) { inner } else { outer };
        count(&mut expected, &counted, reason);
        expected.received_frames += 1;
        expected.received_bytes += frame.len() as u64;
    }
    let counters = tables.counters(0, direction).unwrap();
    assert_eq!(counters.unparsed_frames, expected.unparsed_frames);
    assert_eq!(counters.icmp, expected.icmp);
    assert_eq!(counters.received_frames, expected.received_frames);
    assert_eq!(counters.received_bytes, expected.received_bytes);
    expected
}

fn pin_to_first_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &cpus).unwrap();
}

#[test]
fn xdp_parses_as_the_host_does() {
    pin_to_first_cpu();
    let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables.set_interface(LOOPBACK, &InterfaceConfig::default()).unwrap();
    let scratch = object.take_scratch(names::XDP_SCRATCH).unwrap();
    let program = object.xdp(names::XDP_INGRESS).unwrap();
    let counters = compare(XDP_FRAMES, Direction::Ingress, &scratch, &tables, |frame| {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        assert_eq!(program.test_run(options).unwrap().return_value, XDP_PASS);
        true
    });
    // Each reason was met, so that each was compared.
    for reason in Reason::ALL {
        let is_too_short_to_run = reason == Reason::TruncatedEthernet;
        let met = counters.unparsed_frames[reason as usize] > 0;
        assert!(met || is_too_short_to_run, "{reason:?}");
    }
}

#[test]
fn tc_parses_as_the_host_does() {
    pin_to_first_cpu();
    let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables.set_interface(LOOPBACK, &InterfaceConfig::default()).unwrap();
    let scratch = object.take_scratch(names::TC_SCRATCH).unwrap();
    let program = object.classifier(names::TC_EGRESS).unwrap();
    let counters = compare(TC_FRAMES, Direction::Egress, &scratch, &tables, |frame| {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        match program.test_run(options) {
            Ok(result) => assert_eq!(result.return_value, TCX_NEXT),
            // The kernel makes no socket buffer of an IP frame that ends within its IP header.
            Err(_) if frame.len() < SHORTEST + 40 => return false,
            Err(error) => panic!("{error}: {frame:02x?}"),
        }
        true
    });
    assert!(counters.received_frames > TC_FRAMES as u64 / 2, "{}", counters.received_frames);
}
