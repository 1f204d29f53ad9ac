//! What each eBPF program costs a frame: `BPF_PROG_RUN` of the real programs on one CPU.
//!
//! Prints one JSON array for `cargo xtask bench`. Attaches nothing and sends nothing: the programs
//! are run on frames of one established TCP connection, as if these came in by the loopback.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::abi::{Direction, InterfaceConfig, interface_flags, names};
use capture_user::{
    filter::{Filter, Unmatched},
    kernel::{FrameRing, Object, Settings, Tables},
};
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
/// The port that all frames have.
const PORT: u16 = 80;
/// Matches all frames.
const FILTER: &str = "tcp port 80 and host 203.0.113.1";
/// Matches none of them, as its last test finds.
const OTHER: &str = "tcp port 80 and host 203.0.113.4";

/// What is run.
struct Case {
    name: &'static str,
    flags: u32,
    /// The expression; empty for none.
    filter: &'static str,
    frame_bytes: usize,
}

const COUNT: u32 = 0;
const CAPTURE: u32 = interface_flags::CAPTURE;

const CASES: [Case; 8] = [
    Case { name: "ingress, count only", flags: COUNT, filter: "", frame_bytes: 60 },
    Case { name: "ingress, count only", flags: COUNT, filter: "", frame_bytes: 1514 },
    Case { name: "ingress, filter, no match", flags: CAPTURE, filter: OTHER, frame_bytes: 60 },
    Case { name: "ingress, filter, no match", flags: CAPTURE, filter: OTHER, frame_bytes: 1514 },
    Case { name: "ingress, filter, tap", flags: CAPTURE, filter: FILTER, frame_bytes: 60 },
    Case { name: "ingress, tap", flags: CAPTURE, filter: "", frame_bytes: 60 },
    Case { name: "ingress, tap", flags: CAPTURE, filter: "", frame_bytes: 512 },
    Case { name: "ingress, tap", flags: CAPTURE, filter: "", frame_bytes: 1514 },
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
    let filter = Filter { expression: case.filter.parse()?, ..Filter::default() };
    tables.set_filter(0, &filter, 0, Unmatched::Pass)?;
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
    let captures = case.flags & CAPTURE != 0 && case.filter != OTHER;
    let expected = if captures { u64::from(frames) } else { 0 };
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
