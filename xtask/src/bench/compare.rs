//! captured and other capture tools, one after the other, on the same wire under full load.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read as _, Write as _},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{net::if_::if_nametoindex, sys::signal::Signal};
use serde::Serialize;

use super::{
    generator::{Generator, udp},
    system::{
        GENERATOR_CPU, TOOL_CPU, available_memory, cpu_seconds, peak_memory_kib, pin,
        thread_seconds,
    },
};
use crate::lab::{Daemon, Lab, Pair, PairOptions, Process, wait_until};

/// Frame sizes with the frame check sequence, which the kernel does not see.
const SIZES: [usize; 3] = [64, 512, 1500];
pub(super) const NOTHING: &str = "nothing";
const TOOLS: [&str; 6] =
    [NOTHING, "captured (tap)", "captured (mirror)", "tcpdump", "dumpcap", "netsniff-ng"];

/// Nobody looks at the address.
const NOBODY: [u8; 6] = [0x02, 0, 0, 1, 0, 2];

/// All that comes in, after the capture tools have seen it.
const DROP: &str = "table netdev bench { chain ingress { \
     type filter hook ingress device mon0 priority 0; policy drop; }; }";

/// One tool at one frame size.
#[derive(Debug, Serialize)]
pub(super) struct Capture {
    tool: &'static str,
    frame_bytes: usize,
    seconds: f64,
    offered: u64,
    written: u64,
    lost: u64,
    /// Highest rate without a loss, in frames per second.
    lossless: f64,
    /// For captured: where the lost frames were lost; `wire` is before it could see them.
    lost_by_stage: BTreeMap<String, u64>,
    cpu_seconds: f64,
    peak_memory_kib: u64,
}

/// All tools at all sizes of which the names contain `only`, `duration` each.
pub(super) fn measure(duration: Duration, only: &str) -> Result<Vec<Capture>> {
    let mut captures = Vec::new();
    for frame_bytes in SIZES {
        let name = |tool: &str| format!("{tool}, {frame_bytes} bytes");
        let tools: Vec<_> = TOOLS.into_iter().filter(|tool| name(tool).contains(only)).collect();
        if !tools.is_empty() {
            warm_memory()?;
        }
        for tool in tools {
            eprintln!("bench: {}", name(tool));
            let mut capture =
                capture(tool, frame_bytes, duration, 0).with_context(|| name(tool))?;
            capture.lossless = lossless(&capture, duration).with_context(|| name(tool))?;
            eprintln!("bench: {} offered, {} written", capture.offered, capture.written);
            captures.push(capture);
        }
    }
    Ok(captures)
}

/// The highest rate, of those that the generator is slowed down to, at which a tool loses nothing in
/// two runs; 0 if it always loses something.
fn lossless(full: &Capture, duration: Duration) -> Result<f64> {
    const SPINS: [u32; 12] = [0, 25, 50, 100, 200, 400, 800, 1200, 1600, 2400, 3200, 4800];
    if full.tool == NOTHING {
        return Ok(0.0);
    }
    for spins in SPINS {
        let again = || capture(full.tool, full.frame_bytes, duration, spins);
        if spins == 0 && full.lost > 0 {
            continue;
        }
        let first = again()?;
        if first.lost > 0 {
            continue;
        }
        let second = again()?;
        if second.lost == 0 {
            return Ok(first.rate().min(second.rate()));
        }
    }
    Ok(0.0)
}

impl Capture {
    /// Frames offered per second.
    fn rate(&self) -> f64 {
        self.offered as f64 / self.seconds
    }
}

/// Touches the memory that the files will lie in. On a virtual machine the first touch of a page may
/// cost more than all the rest, and whoever runs first would pay for the others.
fn warm_memory() -> Result<()> {
    let mut file = tempfile::tempfile_in("/dev/shm").context("cannot use the tmpfs /dev/shm")?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..available_memory()? / 2 / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    Ok(())
}

/// What runs while the generator sends.
enum Running<'a> {
    Nothing,
    Captured(Daemon<'a>),
    Other(Process),
}

impl Running<'_> {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Captured(daemon) => Some(daemon.pid()),
            Self::Other(process) => Some(process.pid()),
        }
    }
}

/// Runs a tool while frames come, as fast as the generator makes them when it does not spin.
fn capture(
    tool: &'static str,
    frame_bytes: usize,
    duration: Duration,
    spins: u32,
) -> Result<Capture> {
    let lab = Lab::pair(&PairOptions::default())?;
    // GRO gives the receiving end NAPI, without which it takes no redirected frames.
    lab.monitor.run(&["ethtool", "-K", "mon0", "gro", "on"])?;
    // Behind the capture tools, so that nobody pays for the stack.
    lab.monitor.nft(DROP)?;
    let directory = tempfile::tempdir_in("/dev/shm").context("cannot use the tmpfs /dev/shm")?;
    let file = directory.path().join("capture.pcap");
    let mut running = start(tool, &lab, directory.path(), &file)?;
    let pid = running.pid();
    pid.map_or(Ok(()), |pid| pin(pid, TOOL_CPU))?;
    let used = cpu_seconds(pid)?;
    let begin = Instant::now();
    let (offered, generating) = lab.sender.enter(|| offer(frame_bytes, duration, spins))??;
    let seconds = begin.elapsed().as_secs_f64();
    let mut lost_by_stage = BTreeMap::new();
    let mut written = 0;
    match &mut running {
        Running::Nothing => {}
        Running::Captured(daemon) => {
            (written, lost_by_stage) = ledger_of_captured(daemon, offered)?;
        }
        // Time to read the rest of its buffer.
        Running::Other(_) => sleep(Duration::from_secs(1)),
    }
    let cpu_seconds = cpu_seconds(pid)? - used + generating;
    let peak_memory_kib = pid.map_or(Ok(0), peak_memory_kib)?;
    match running {
        Running::Nothing => {}
        Running::Captured(daemon) => _ = daemon.stop()?,
        Running::Other(mut process) => {
            process.signal(Signal::SIGINT)?;
            process.wait(Duration::from_secs(20))?;
            written = records(&file)?;
        }
    }
    let lost = offered.checked_sub(written).context("more frames written than sent")?;
    Ok(Capture {
        tool,
        frame_bytes,
        seconds,
        offered,
        written,
        lost,
        lossless: 0.0,
        lost_by_stage,
        cpu_seconds,
        peak_memory_kib,
    })
}

/// Sends frames; returns how many, and the CPU seconds of the sending thread, in which most of the
/// kernel's work for them is done.
fn offer(frame_bytes: usize, duration: Duration, spins: u32) -> Result<(u64, f64)> {
    pin(0, GENERATOR_CPU)?;
    let before = thread_seconds()?;
    let frame = udp(NOBODY, frame_bytes - 4);
    let offered = Generator::new(if_nametoindex("tx0")?, &frame, spins)?.send(duration)?;
    Ok((offered, thread_seconds()? - before))
}

fn start<'a>(tool: &str, lab: &'a Pair, directory: &Path, file: &Path) -> Result<Running<'a>> {
    let (directory, file) = (directory.to_string_lossy(), file.to_string_lossy());
    // The same 64 MiB of buffer for each of the others.
    let argv: Vec<&str> = match tool {
        NOTHING => vec![],
        "tcpdump" => vec!["tcpdump", "-n", "-Z", "root", "-B", "65536", "-i", "mon0", "-w", &file],
        "dumpcap" => vec!["dumpcap", "-q", "-P", "-B", "64", "-i", "mon0", "-w", &file],
        "netsniff-ng" => {
            let input = ["netsniff-ng", "--silent", "--ring-size", "64MiB", "--in", "mon0"];
            [&input[..], &["--out", &file]].concat()
        }
        captured => {
            let mode = if captured.contains("mirror") { "mon0:mirror" } else { "mon0:tap" };
            let daemon = Daemon::start(&lab.monitor, &["-q", "-i", mode, "-w", &directory])?;
            return Ok(Running::Captured(daemon));
        }
    };
    if argv.is_empty() {
        return Ok(Running::Nothing);
    }
    let mut process = lab.monitor.spawn(&argv)?;
    sleep(Duration::from_secs(1));
    let ended = process.ended()?;
    ensure!(ended.is_none(), "it ended at once: {}", process.stderr().trim());
    Ok(Running::Other(process))
}

/// Waits until each matched frame is written or lost; returns how many were written, and where the
/// others were lost.
pub(super) fn ledger_of_captured(
    daemon: &Daemon<'_>,
    offered: u64,
) -> Result<(u64, BTreeMap<String, u64>)> {
    const LOST: &str = "capture_lost_frames_total";
    let metrics = wait_until(Duration::from_secs(20), "the ledger of captured to add up", || {
        let metrics = daemon.metrics()?;
        let count = |name| metrics.count(name, &[("direction", "ingress")]);
        let done = count("capture_written_frames_total") + count(LOST);
        Ok((done == count("capture_matched_frames_total")).then_some(metrics))
    })?;
    let ingress = [("direction", "ingress")];
    let received = metrics.count("capture_received_frames_total", &ingress);
    let mut lost = BTreeMap::from([("wire".to_owned(), offered.saturating_sub(received))]);
    for stage in ["ring_full", "no_socket", "rx_ring_full", "rx_dropped", "redirect_failed"] {
        let labels = [("direction", "ingress"), ("stage", stage)];
        lost.insert(stage.to_owned(), metrics.count(LOST, &labels));
    }
    lost.retain(|_, frames| *frames > 0);
    Ok((metrics.count("capture_written_frames_total", &ingress), lost))
}

/// Counts the records of a pcap file.
pub(super) fn records(file: &Path) -> Result<u64> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, opened);
    reader.read_exact(&mut [0; 24]).context("no pcap header")?;
    let (mut count, mut header) = (0, [0_u8; 16]);
    while reader.read_exact(&mut header).is_ok() {
        let length = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        reader.seek_relative(i64::from(length))?;
        count += 1;
    }
    Ok(count)
}

/// A Markdown table.
pub(super) fn table(captures: &[Capture]) -> String {
    let mut table = String::from(
        "| frame, bytes | tool | offered/s | written/s | lost | where | lossless up to/s | CPU s per million offered | peak RSS, MiB |\n\
         |--:|---|--:|--:|--:|---|--:|--:|--:|\n",
    );
    for capture in captures {
        let Capture { tool, frame_bytes, seconds, offered, written, lost, .. } = capture;
        let (offered, written) = (*offered as f64, *written as f64);
        let stages: Vec<String> = capture
            .lost_by_stage
            .iter()
            .map(|(stage, frames)| format!("{stage} {:.1} %", *frames as f64 * 100.0 / offered))
            .collect();
        table.push_str(&format!(
            "| {frame_bytes} | {tool} | {:.0} | {:.0} | {:.1} % | {} | {:.0} | {:.2} | {:.0} |\n",
            offered / seconds,
            written / seconds,
            *lost as f64 * 100.0 / offered,
            stages.join(", "),
            capture.lossless,
            capture.cpu_seconds * 1e6 / offered,
            capture.peak_memory_kib as f64 / 1024.0,
        ));
    }
    table
}
