//! Signals to the daemon: SIGHUP changes what it captures, SIGTERM ends it well. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod traffic;

use std::{fs, path::Path, time::Duration};

use nix::sys::signal::Signal;
use traffic::{NUMBER_AT, frame, send};
use xtask::lab::{Daemon, Lab, Pair, PairOptions, build, daemon::segments, readers, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
const FRAMES: u32 = 50;

fn configure(path: &Path, port: u16) {
    let text = format!("[[interface]]\nname = \"mon0\"\nfilter = \"port {port}\"\n");
    fs::write(path, text).unwrap();
}

/// Sends frames to both ports and waits until captured has seen them all; returns how many it has
/// written since it started.
fn written_after_sending(daemon: &Daemon<'_>, pair: &Pair) -> u64 {
    let count = |name: &str| Ok::<_, anyhow::Error>(daemon.metrics()?.count(name, &[]));
    let received = "capture_received_frames_total";
    let wanted = count(received).unwrap() + u64::from(2 * FRAMES);
    send(pair, (0..FRAMES).flat_map(|number| [frame(53, number), frame(80, number)]));
    wait_until(PATIENCE, "all frames to be seen and written", || {
        let metrics = daemon.metrics()?;
        let matched = metrics.count("capture_matched_frames_total", &[]);
        let written = metrics.count("capture_written_frames_total", &[]);
        Ok((metrics.count(received, &[]) == wanted && matched == written).then_some(written))
    })
    .unwrap()
}

#[test]
fn sighup_changes_the_filter_and_a_mistake_changes_nothing() {
    const PART: u64 = FRAMES as u64;
    build::captured().unwrap();
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("captured.toml");
    let stored = directory.path().join("segments");
    configure(&config, 53);
    let arguments = ["--config", config.to_str().unwrap(), "-w", stored.to_str().unwrap()];
    let mut daemon = Daemon::start(&pair.monitor, &arguments).unwrap();
    assert_eq!(written_after_sending(&daemon, &pair), PART);

    configure(&config, 80);
    daemon.process().signal(Signal::SIGHUP).unwrap();
    let line = daemon.process().wait_for_stderr("reloaded; changed:", PATIENCE).unwrap();
    assert!(line.contains("interface[mon0].filter"), "{line}");
    assert_eq!(written_after_sending(&daemon, &pair), 2 * PART);

    fs::write(&config, "[[interface]]\nname = \"mon0\"\nfliter = \"\"\n").unwrap();
    daemon.process().signal(Signal::SIGHUP).unwrap();
    let line = daemon.process().wait_for_stderr("not reloaded", PATIENCE).unwrap();
    assert!(line.contains("captured.toml:3") && line.contains("fliter"), "{line}");
    assert_eq!(written_after_sending(&daemon, &pair), 3 * PART);

    daemon.stop().unwrap();
    let published = segments(&stored).unwrap();
    let rows = readers::tshark(&published, "", &["udp.dstport"]).unwrap();
    let ports: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let part = FRAMES as usize;
    assert!(ports[..part].iter().all(|port| *port == "53"), "{ports:?}");
    assert_eq!(ports[part..], vec!["80"; 2 * part]);
    let numbers = readers::tshark(&published, "", &["udp.payload"]).unwrap();
    let payload = |number: u32| -> String {
        frame(80, number)[NUMBER_AT..].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let wanted: Vec<String> = (0..3).flat_map(|_| (0..FRAMES).map(payload)).collect();
    assert_eq!(numbers.concat(), wanted, "each frame once, whole, in order");
}
