//! A flood of SYNs from ever new sources through the real program: what it does to the flow table.
//! `cargo xtask bench` does the same with a table of a million and measures time and memory.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::{
    abi::{Direction, InterfaceConfig, Vary, names},
    flow::{Conversation, FlowKey},
    parse::{Packet, parse},
};
use capture_user::kernel::{Object, Settings, Tables};

const FLOWS: u32 = 1 << 16;
const SETTINGS: Settings = Settings { flows: FLOWS, ring_bytes: 1 << 16 };
/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const FLOOD: u32 = 1_000_000;
/// Conversations that go on during the flood, each with one segment in `KNOWN * EVERY` frames.
const KNOWN: u32 = 128;
const EVERY: u32 = 64;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn segment(flags: u8) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0, 0x45, 0, 0, 40];
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 203, 0, 113, 1]);
    frame.extend([0x9c, 0x40, 0, 80, 0, 0, 0x10, 0, 0, 0, 0x20, 1]);
    frame.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}

/// The entry of the conversation of this number.
fn known(tables: &Tables, number: u32) -> Option<Conversation> {
    let mut frame = segment(ACK);
    frame[26..30].copy_from_slice(&(Vary::KNOWN + number).to_be_bytes());
    let mut packet = Packet::default();
    parse(&frame[..], frame.len() as u32, &mut packet).unwrap();
    tables.flow(&FlowKey::of(&packet).0).unwrap()
}

#[test]
fn conversations_with_traffic_survive_a_flood_of_syns() {
    let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables.set_interface(LOOPBACK, &InterfaceConfig::default()).unwrap();
    let (mut vary, mut varied) = object.load_vary().unwrap();
    varied.set(0, &object.ingress().unwrap(), 0).unwrap();
    let mut run = |frame: &[u8], how: Vary, repeat: u32| {
        vary.set(0, how, 0).unwrap();
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let program = object.xdp(names::XDP_VARY).unwrap();
        assert_eq!(program.test_run(options).unwrap().return_value, 2);
    };
    let calm = Vary { flows: 1, every: 1, known: KNOWN, ..Vary::default() };
    run(&segment(ACK), calm, 4 * KNOWN);
    let before: Vec<_> = (0..KNOWN).map(|number| known(&tables, number).unwrap()).collect();
    let flood =
        Vary { flows: u32::MAX >> 4, every: EVERY, known: KNOWN, seed: 7, ..Vary::default() };
    run(&segment(SYN), flood, FLOOD);

    let created = tables.counters(0, Direction::Ingress).unwrap().flows_created;
    assert!(created > u64::from(FLOOD) * 9 / 10, "{created} of {FLOOD}: no flood");
    let present = tables.flow_count().unwrap();
    assert!(present <= u64::from(FLOWS), "{present}");
    for (number, before) in (0..KNOWN).zip(before) {
        let now = known(&tables, number).unwrap_or_else(|| panic!("{number} was forgotten"));
        assert_eq!(now.first_time, before.first_time, "{number} was forgotten meanwhile");
        assert!(now.low.packets + now.high.packets > before.low.packets + before.high.packets);
    }
}
