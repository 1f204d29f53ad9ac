//! What each eBPF program costs a frame: `BPF_PROG_RUN` of the real programs on one CPU.
//!
//! Prints one JSON array for `cargo xtask bench`. Attaches nothing and sends nothing: the programs
//! are run on frames of one established TCP connection, as if these came in by the loopback.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::abi::{
    Direction, FilterRule, FilterRules, InterfaceConfig, interface_flags, names, rule_flags,
};
use capture_user::kernel::{FrameRing, Object, Settings, Tables};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The ring has to hold all frames of one run, or the cost of refusing them would be measured.
const SETTINGS: Settings = Settings { flows: 65_536, ring_bytes: 64 << 20 };
/// `BPF_PROG_RUN` shows XDP programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
/// Frames of one measurement, at least.
const FRAMES: u32 = 2_000_000;
/// The port that no frame has, and the one that all have.
const OTHER_PORT: u16 = 9;
const PORT: u16 = 80;

/// What is run.
struct Case {
    name: &'static str,
    flags: u32,
    /// Rules of the filter: that many that do not match, then one that does.
    misses: Option<u32>,
    frame_bytes: usize,
}

const COUNT: u32 = 0;
const CAPTURE: u32 = interface_flags::CAPTURE;

const CASES: [Case; 7] = [
    Case { name: "ingress, count only", flags: COUNT, misses: None, frame_bytes: 60 },
    Case { name: "ingress, count only", flags: COUNT, misses: None, frame_bytes: 1514 },
    Case {
        name: "ingress, filter (1 rule), tap",
        flags: CAPTURE,
        misses: Some(0),
        frame_bytes: 60,
    },
    Case {
        name: "ingress, filter (16 rules), tap",
        flags: CAPTURE,
        misses: Some(15),
        frame_bytes: 60,
    },
    Case { name: "ingress, tap", flags: CAPTURE, misses: None, frame_bytes: 60 },
    Case { name: "ingress, tap", flags: CAPTURE, misses: None, frame_bytes: 512 },
    Case { name: "ingress, tap", flags: CAPTURE, misses: None, frame_bytes: 1514 },
];

fn main() -> Result<()> {
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot stay on one CPU")?;
    let (mut object, mut tables) = Object::load(&SETTINGS)?;
    let mut ring = object.take_frames()?;
    let mut results = Vec::new();
    for case in &CASES {
        let nanoseconds = measure(case, &mut object, &mut tables, &mut ring)
            .with_context(|| format!("{}, {} bytes", case.name, case.frame_bytes))?;
        results.push(serde_json::json!({
            "program": case.name,
            "frame_bytes": case.frame_bytes,
            "ns_per_frame": nanoseconds,
        }));
    }
    writeln!(std::io::stdout(), "{}", serde_json::Value::from(results))?;
    Ok(())
}

/// Mean nanoseconds per frame, once the connection is established.
fn measure(
    case: &Case,
    object: &mut Object,
    tables: &mut Tables,
    ring: &mut FrameRing,
) -> Result<f64> {
    let config = InterfaceConfig { flags: case.flags, snap_length: 262_144, ..Default::default() };
    tables.set_interface(LOOPBACK, &config)?;
    tables.set_filter(0, 0, case.misses.map(rules).as_ref())?;
    for handshake in [segment(SYN, 60), reply(SYN | ACK), segment(ACK, 60)] {
        run(object, &handshake, 1)?;
    }
    let frame = segment(ACK, case.frame_bytes);
    drain(ring);
    // Warm: code, maps and the pages of the ring.
    let per_run = frames_in_ring(case.frame_bytes).min(FRAMES);
    run(object, &frame, per_run)?;
    drain(ring);
    let before = tables.counters(0, Direction::Ingress)?;
    let (mut frames, mut took) = (0, Duration::ZERO);
    while frames < FRAMES {
        took += run(object, &frame, per_run)? * per_run;
        frames += per_run;
        drain(ring);
    }
    let after = tables.counters(0, Direction::Ingress)?;
    let delivered = after.delivered_frames - before.delivered_frames;
    let expected = if case.flags & CAPTURE != 0 { u64::from(frames) } else { 0 };
    ensure!(delivered == expected, "{delivered} frames delivered instead of {expected}");
    Ok(took.as_secs_f64() * 1e9 / f64::from(frames))
}

/// Nanoseconds per frame are whole numbers in the kernel's answer.
fn run(object: &mut Object, frame: &[u8], repeat: u32) -> Result<Duration> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let result = object.xdp(names::XDP_INGRESS)?.test_run(options)?;
    ensure!(result.return_value == 2, "the program returned {}, not PASS", result.return_value);
    Ok(result.duration)
}

fn drain(ring: &mut FrameRing) {
    while ring.next_record().is_some() {}
}

/// Half of the ring: a record is at most twice its frame and 128 bytes.
fn frames_in_ring(frame_bytes: usize) -> u32 {
    SETTINGS.ring_bytes / (2 * frame_bytes as u32 + 128)
}

fn rules(misses: u32) -> FilterRules {
    let port = |port| FilterRule {
        flags: rule_flags::PORT,
        port_low: port,
        port_high: port,
        ..Default::default()
    };
    let mut rules = FilterRules { count: misses + 1, ..Default::default() };
    for rule in rules.rules.iter_mut().take(misses as usize) {
        *rule = port(OTHER_PORT);
    }
    if let Some(last) = rules.rules.get_mut(misses as usize) {
        *last = port(PORT);
    }
    rules
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const CLIENT: ([u8; 4], u16, u32) = ([192, 0, 2, 1], 40_000, 1_000);
const SERVER: ([u8; 4], u16, u32) = ([203, 0, 113, 1], PORT, 5_000);

/// From the client to the server; all beyond the headers of the first 60 bytes is data.
fn segment(flags: u8, frame_bytes: usize) -> Vec<u8> {
    tcp(CLIENT, SERVER, flags, frame_bytes)
}

fn reply(flags: u8) -> Vec<u8> {
    tcp(SERVER, CLIENT, flags, 60)
}

type End = ([u8; 4], u16, u32);

fn tcp(from: End, to: End, flags: u8, frame_bytes: usize) -> Vec<u8> {
    let data = if frame_bytes > 60 { frame_bytes - 54 } else { 0 };
    let sequence = from.2 + u32::from(flags & SYN == 0);
    let acknowledged = if flags & ACK == 0 { 0 } else { to.2 + 1 };
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0, 0x45, 0];
    frame.extend((40 + data as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(from.0);
    frame.extend(to.0);
    frame.extend(from.1.to_be_bytes());
    frame.extend(to.1.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend(acknowledged.to_be_bytes());
    frame.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    frame.resize(frame_bytes, 0);
    frame
}
