//! What capture costs the forwarding of a gateway.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{net::if_::if_nametoindex, sys::signal::Signal};
use serde::Serialize;

use super::{
    compare::{NOTHING, ledger_of_captured, records},
    generator::{Generator, udp},
    system::{GENERATOR_CPU, TOOL_CPU, pin},
};
use crate::lab::{Daemon, Lab, Process, Routed, RoutedOptions};

const CASES: [&str; 4] = [NOTHING, "captured (count only)", "captured (tap)", "tcpdump"];
/// Frame sizes with the frame check sequence, which the kernel does not see.
const SIZES: [usize; 2] = [64, 1500];
/// Rounds through all cases; the median of each counts.
const ROUNDS: usize = 5;
/// Hardware address of the gateway's outside.
const GATEWAY: [u8; 6] = [0x02, 0, 0, 0, 2, 2];
/// The server takes the frames off the wire and no further.
const DROP: &str = "table netdev bench { chain ingress { \
     type filter hook ingress device srv0 priority 0; policy drop; }; }";

/// One case at one frame size.
#[derive(Debug, Serialize)]
pub(super) struct Forward {
    case: &'static str,
    frame_bytes: usize,
    /// Frames per second that reached the server, of each round.
    forwarded: Vec<f64>,
    /// The part of them that the tool wrote to its file, of each round.
    written: Vec<f64>,
}

impl Forward {
    fn median(&self) -> f64 {
        median(&self.forwarded)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// All cases at all sizes, in rounds, so that what changes with time hits all of them.
pub(super) fn measure(duration: Duration, only: &str) -> Result<Vec<Forward>> {
    let mut results = Vec::new();
    for frame_bytes in SIZES {
        if !format!("forwarding, {frame_bytes} bytes").contains(only) {
            continue;
        }
        let mut cases = CASES.map(|case| Forward {
            case,
            frame_bytes,
            forwarded: Vec::new(),
            written: Vec::new(),
        });
        for round in 1..=ROUNDS {
            eprintln!("bench: forwarding, {frame_bytes} bytes, round {round} of {ROUNDS}");
            for result in &mut cases {
                let (rate, written) =
                    forwarded(result.case, frame_bytes, duration).with_context(|| result.case)?;
                result.forwarded.push(rate);
                result.written.push(written);
            }
        }
        results.extend(cases);
    }
    Ok(results)
}

/// Frames per second that the gateway forwards, and the part of them that the tool writes.
fn forwarded(case: &str, frame_bytes: usize, duration: Duration) -> Result<(f64, f64)> {
    let options = RoutedOptions { in_order: false, ..RoutedOptions::default() };
    let lab = Lab::routed(&options)?;
    // GRO gives the receiving ends NAPI, without which they take no redirected frames.
    lab.gateway.run(&["ethtool", "-K", "gw0", "gro", "on"])?;
    lab.server.run(&["ethtool", "-K", "srv0", "gro", "on"])?;
    lab.server.nft(DROP)?;
    let directory = tempfile::tempdir_in("/dev/shm").context("cannot use the tmpfs /dev/shm")?;
    let target = directory.path().join("capture");
    let (file, target) = (target.clone(), target.to_string_lossy());
    let (mut daemon, mut tool) = (None, None);
    match case {
        "captured (count only)" => {
            let arguments = ["-q", "-i", "gw0", "-i", "gw1", "--count-only", "-w", &target];
            daemon = Some(Daemon::start(&lab.gateway, &arguments)?);
        }
        "captured (tap)" => {
            let arguments = ["-q", "-i", "gw0", "-i", "gw1", "-w", &target];
            daemon = Some(Daemon::start(&lab.gateway, &arguments)?);
        }
        "tcpdump" => tool = Some(tcpdump(&lab, &target)?),
        _ => {}
    }
    let pids = daemon.iter().map(Daemon::pid).chain(tool.iter().map(Process::pid));
    for pid in pids {
        pin(pid, TOOL_CPU)?;
    }
    let before = arrived(&lab)?;
    let begin = Instant::now();
    let sent = lab.isp.enter(|| -> Result<u64> {
        pin(0, GENERATOR_CPU)?;
        Generator::new(if_nametoindex("isp1")?, &udp(GATEWAY, frame_bytes - 4), 0)?.send(duration)
    })??;
    let seconds = begin.elapsed().as_secs_f64();
    let forwarded = arrived(&lab)? - before;
    let written = match (daemon, tool) {
        (Some(daemon), _) => ledger_of_captured(&daemon, sent)?.0,
        (None, Some(mut tool)) => {
            sleep(Duration::from_secs(1)); // Time to read the rest of its buffer.
            tool.signal(Signal::SIGINT)?;
            tool.wait(Duration::from_secs(20))?;
            records(&file)?
        }
        (None, None) => 0,
    };
    Ok((forwarded as f64 / seconds, written as f64 / forwarded.max(1) as f64))
}

fn tcpdump(lab: &Routed, file: &str) -> Result<Process> {
    let argv = ["tcpdump", "-n", "-Z", "root", "-B", "65536", "-i", "gw0", "-w", file];
    let process = lab.gateway.spawn(&argv)?;
    sleep(Duration::from_secs(1));
    Ok(process)
}

/// Frames that the server's interface has received.
fn arrived(lab: &Routed) -> Result<u64> {
    let text = lab.server.run(&["cat", "/sys/class/net/srv0/statistics/rx_packets"])?;
    text.trim().parse().with_context(|| format!("not a number: {text:?}"))
}

/// A Markdown table.
pub(super) fn table(results: &[Forward]) -> String {
    let mut table = String::from(
        "| frame, bytes | on the gateway | forwarded/s, median | of what it forwards with nothing | of these written |\n\
         |--:|---|--:|--:|--:|\n",
    );
    for result in results {
        let size = result.frame_bytes;
        let bare = results.iter().find(|r| r.frame_bytes == size && r.case == NOTHING);
        let share = bare.map_or(0.0, |bare| result.median() * 100.0 / bare.median());
        let (case, median) = (result.case, result.median());
        let written = self::median(&result.written) * 100.0;
        table.push_str(&format!(
            "| {size} | {case} | {median:.0} | {share:.0} % | {written:.0} % |\n"
        ));
    }
    table
}
