//! What the TCP step costs with many conversations, and what their table costs: the real programs
//! under `BPF_PROG_RUN`, on frames of 1 to 1,000,000 conversations in random order.
//!
//! Prints one JSON object for `cargo xtask bench`.

use std::{io::Write as _, time::Instant};

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::{Array, MapData, ProgramArray},
    programs::{TestRun as _, TestRunOptions},
};
use capture_common::abi::{InterfaceConfig, Vary, names};
use capture_user::kernel::{Object, Settings};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

const FLOWS: u32 = 1_000_000;
const SETTINGS: Settings = Settings { flows: FLOWS, ring_bytes: 1 << 16 };
/// `BPF_PROG_RUN` shows XDP programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const CASES: [u32; 4] = [1, 1_000, 65_536, FLOWS];
const FRAMES: u32 = 2_000_000;
const ROUNDS: usize = 5;
/// Sources of the flood of SYNs.
const FLOOD: u32 = 10_000_000;
/// Conversations that go on during the flood, and how seldom: one frame of so many.
const KNOWN: u32 = 1024;
const EVERY: u32 = 64;

fn main() -> Result<()> {
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot stay on one CPU")?;
    let before = locked_memory()?;
    let begin = Instant::now();
    let (mut object, mut tables) = Object::load(&SETTINGS)?;
    let start_seconds = begin.elapsed().as_secs_f64();
    tables.set_interface(LOOPBACK, &InterfaceConfig::default())?;
    let (vary, mut varied) = object.load_vary()?;
    let mut bench = Bench { object, vary };
    let table_bytes = locked_memory()?.saturating_sub(before);

    // Without the ingress program behind it: the cost of making the frames.
    let own = CASES.map(|flows| bench.median(&ack(), Vary { flows, ..Vary::default() }));
    set(&mut varied, &mut bench.object)?;
    let mut cases = Vec::new();
    for (flows, own) in CASES.into_iter().zip(own) {
        let vary = Vary { flows, ..Vary::default() };
        bench.run(&ack(), vary, FRAMES.max(3 * flows))?; // All of them are known from here on.
        let nanoseconds = bench.median(&ack(), vary)? - own?;
        cases.push(serde_json::json!({ "flows": flows, "ns_per_frame": nanoseconds }));
    }
    let flood = flood(&mut bench, &tables)?;
    let result = serde_json::json!({
        "cases": cases,
        "start_seconds": start_seconds,
        "table_bytes": table_bytes,
        "flood": flood,
    });
    writeln!(std::io::stdout(), "{result}")?;
    Ok(())
}

struct Bench {
    object: Object,
    vary: Array<MapData, Vary>,
}

impl Bench {
    /// Nanoseconds per frame; the kernel's answer is in whole ones.
    fn run(&mut self, frame: &[u8], vary: Vary, repeat: u32) -> Result<f64> {
        self.vary.set(0, vary, 0)?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = self.object.xdp(names::XDP_VARY)?.test_run(options)?;
        ensure!(result.return_value == 2, "the program returned {}", result.return_value);
        Ok(result.duration.as_secs_f64() * 1e9)
    }

    fn median(&mut self, frame: &[u8], vary: Vary) -> Result<f64> {
        let mut all = [0.0; ROUNDS];
        for (round, nanoseconds) in all.iter_mut().enumerate() {
            *nanoseconds = self.run(frame, Vary { seed: round as u64, ..vary }, FRAMES)?;
        }
        all.sort_by(f64::total_cmp);
        Ok(all[ROUNDS / 2])
    }
}

fn set(varied: &mut ProgramArray<MapData>, object: &mut Object) -> Result<()> {
    Ok(varied.set(0, &object.ingress()?, 0)?)
}

/// SYNs from as many sources as there are, while a few conversations go on.
fn flood(bench: &mut Bench, tables: &capture_user::kernel::Tables) -> Result<serde_json::Value> {
    let known = Vary { flows: 1, every: 1, known: KNOWN, ..Vary::default() };
    bench.run(&ack(), known, 4 * KNOWN)?;
    let first: Vec<_> = (0..KNOWN).map(|number| conversation(tables, number)).collect();
    let flood =
        Vary { flows: u32::MAX >> 4, every: EVERY, known: KNOWN, seed: 7, ..Vary::default() };
    let memory = locked_memory()?;
    let nanoseconds = bench.run(&segment(SYN), flood, FLOOD)?;
    let grown = locked_memory()?.saturating_sub(memory);
    let mut survived = 0;
    for (number, before) in (0..KNOWN).zip(first) {
        let now = conversation(tables, number);
        survived += u32::from(now.is_some() && now == before);
    }
    Ok(serde_json::json!({
        "sources": FLOOD,
        "ns_per_frame": nanoseconds,
        "memory_grown_bytes": grown,
        "known": KNOWN,
        "survived": survived,
        "flows": tables.flow_count()?,
    }))
}

/// When a conversation began, if the table still knows it.
fn conversation(tables: &capture_user::kernel::Tables, number: u32) -> Option<u64> {
    let mut frame = ack();
    frame[26..30].copy_from_slice(&(Vary::KNOWN + number).to_be_bytes());
    let mut packet = capture_common::parse::Packet::default();
    capture_common::parse::parse(&frame[..], frame.len() as u32, &mut packet).ok()?;
    let (key, _side) = capture_common::flow::FlowKey::of(&packet);
    Some(tables.flow(&key).ok()??.first_time)
}

/// Bytes that the kernel has given to BPF maps and programs of this process and all others, and to
/// everything else of its own that is not cached files.
fn locked_memory() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let kib = field("Percpu").zip(field("VmallocUsed")).zip(field("SUnreclaim"));
    let ((percpu, vmalloc), slab) = kib.context("/proc/meminfo lacks a field")?;
    Ok((percpu + vmalloc + slab) * 1024)
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn ack() -> Vec<u8> {
    segment(ACK)
}

fn segment(flags: u8) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0, 0x45, 0, 0, 40];
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([192, 0, 2, 1, 203, 0, 113, 1]);
    frame.extend([0x9c, 0x40, 0, 80, 0, 0, 0x10, 0]);
    frame.extend([0, 0, 0x20, if flags & ACK == 0 { 0 } else { 1 }]);
    frame.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}
