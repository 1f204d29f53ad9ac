//! The loss ledger when frames are lost for certain: the daemon stands still while they come.
//! Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod traffic;

use std::{
    collections::BTreeSet,
    fs,
    fs::File,
    io::BufReader,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sys::signal::Signal;
use pcap_file::pcap::PcapReader;
use traffic::{NUMBER_AT, frame, send};
use xtask::lab::{Daemon, Lab, Metrics, PairOptions, build, daemon::segments, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// Frames of each of three parts: before, while and after the daemon stands still. About 20 times
/// what the ring below or the buffers of both queues hold.
const FRAMES: u32 = 33_000;
/// Far too small, on purpose.
const CONFIG: &str = "[tap]\nring_size = \"1MiB\"\n[mirror]\nframes_per_queue = 1024\n";
const PORT: u16 = 9;

/// Two cores: one loaded lab at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    build::captured().unwrap();
    alone
}

/// Ingress frames by a metric's name.
fn ingress(metrics: &Metrics, what: &str) -> u64 {
    metrics.count(&format!("capture_{what}_frames_total"), &[("direction", "ingress")])
}

/// Waits until every matched frame is written or counted as lost, and none is left in a buffer.
fn settled(daemon: &Daemon<'_>) -> Metrics {
    let settled = wait_until(PATIENCE, "the ledger to close", || {
        let metrics = daemon.metrics()?;
        let accounted = ingress(&metrics, "written") + ingress(&metrics, "lost");
        Ok((ingress(&metrics, "matched") == accounted).then_some(metrics))
    });
    settled.unwrap_or_else(|error| panic!("{error}\n{}", daemon.metrics_text().unwrap()))
}

/// Every frame in the segments is one that was sent, whole, and there once; returns how many.
fn frames_in(directory: &Path) -> u64 {
    let mut seen = BTreeSet::new();
    for segment in segments(directory).unwrap() {
        let file = BufReader::new(File::open(&segment).unwrap());
        let mut reader = PcapReader::new(file).unwrap();
        while let Some(packet) = reader.next_packet() {
            let bytes = packet.unwrap().data;
            let number = bytes[NUMBER_AT..NUMBER_AT + 4].try_into().unwrap();
            let number = u32::from_be_bytes(number);
            assert_eq!(*bytes, frame(PORT, number), "frame {number}");
            assert!(seen.insert(number), "frame {number} twice");
        }
    }
    seen.len() as u64
}

fn overload(mode: &str, stages: &[&str]) {
    let _alone = alone();
    let pair = Lab::pair(&PairOptions { queues: 2, ..Default::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("captured.toml");
    fs::write(&config, CONFIG).unwrap();
    let stored = directory.path().join("segments");
    let interface = format!("{}:{mode}", pair.wires[0].monitor);
    let (config, target) = (config.to_str().unwrap(), stored.to_str().unwrap());
    let arguments = ["--config", config, "-i", &interface, "-w", target, "--format", "pcap"];
    let mut daemon = Daemon::start(&pair.monitor, &arguments).unwrap();
    let part = |number: u32| (number * FRAMES..(number + 1) * FRAMES).map(|n| frame(PORT, n));

    send(&pair, part(0));
    let first = settled(&daemon);
    daemon.process().signal(Signal::SIGSTOP).unwrap();
    send(&pair, part(1));
    daemon.process().signal(Signal::SIGCONT).unwrap();
    let second = settled(&daemon);
    let lost = ingress(&second.since(&first), "lost");
    assert!(
        lost > 0,
        "a daemon that stood still lost nothing:\n{}",
        daemon.metrics_text().unwrap()
    );
    send(&pair, part(2));
    let last = settled(&daemon);

    assert!(ingress(&last.since(&second), "written") > 0, "writing went on");
    assert!(ingress(&last, "received") <= u64::from(3 * FRAMES));
    assert_eq!(ingress(&last, "received"), ingress(&last, "matched"), "no filter");
    let named = |stage: &&str| last.count("capture_lost_frames_total", &[("stage", stage)]);
    let named: u64 = stages.iter().map(named).sum();
    assert_eq!(ingress(&last, "lost"), named, "lost at other stages than {stages:?}");
    daemon.stop().unwrap();
    assert_eq!(frames_in(&stored), ingress(&last, "written"));
}

#[test]
fn tap_accounts_for_every_frame_it_loses() {
    overload("tap", &["ring_full"]);
}

#[test]
fn mirror_accounts_for_every_frame_it_loses() {
    overload("mirror", &["rx_ring_full", "rx_dropped", "redirect_failed"]);
}
