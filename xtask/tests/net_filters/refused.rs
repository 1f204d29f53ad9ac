//! Bad expressions: exit code 2, the word that is wrong, and nothing changes.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use capture_user::client::{self, ClientError};
use serde_json::Value;
use xtask::lab::{Daemon, Lab, Namespace, Pair, PairOptions, build, command, wait_until};

use crate::{
    alone,
    traffic::{frame, send},
};

const PATIENCE: Duration = Duration::from_secs(20);
/// Time for a refusal. A name that is looked up where nobody answers takes five seconds or more.
const AT_ONCE: Duration = Duration::from_secs(1);
const FRAMES: u32 = 50;
const PORT: u16 = 53;

/// Each with a word that the message must have.
const BAD: [(&str, &str); 10] = [
    ("tcp prot 80", "prot"),
    ("tcp port (80", "(80"),
    ("(tcp and (udp or icmp)", "(tcp and"),
    ("tcp or udp)", "udp)"),
    ("host nobody.captured.example", "nobody.captured.example"),
    ("src net somewhere.captured.example", "somewhere.captured.example"),
    ("ether host nobody.captured.example", "nobody.captured.example"),
    ("type mgt subtype beacon", "mgt"),
    ("ifname mon0", "ifname"),
    ("tcp port 65536", "65536"),
];

/// Longer than 64 KiB, and else right.
fn too_long() -> String {
    "udp".to_owned() + &" or udp".repeat(65_536 / 7)
}

fn assert_refused(output: &Output, expression: &str, word: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "`{expression}`: {said}");
    assert!(said.contains(word), "`{expression}`: \"{word}\" is not in: {said}");
    assert!(said.len() < 4096, "{} bytes about an error", said.len());
}

/// Frames that a namespace has sent by any interface, its loopback included.
fn sent(namespace: &Namespace) -> u64 {
    let script = "cat /sys/class/net/*/statistics/tx_packets";
    let counts = namespace.run(&["sh", "-c", script]).unwrap();
    counts.lines().map(|count| count.parse::<u64>().unwrap()).sum()
}

/// Gives queries for names, if there are any, a way out.
fn route_everything(pair: &Pair) {
    let wire = &pair.wires[0];
    pair.monitor.ip(&format!("addr add 192.0.2.1/24 dev {}", wire.monitor)).unwrap();
    let neighbour = format!("192.0.2.2 lladdr {} dev {}", wire.sender_mac, wire.monitor);
    pair.monitor.ip(&format!("neigh add {neighbour} nud permanent")).unwrap();
    pair.monitor.ip("route add default via 192.0.2.2").unwrap();
}

#[test]
fn bad_expressions_start_nothing_and_ask_nobody() {
    let _alone = alone();
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    route_everything(&pair);
    let directory = tempfile::tempdir().unwrap();
    let (stored, control) = (directory.path().join("segments"), directory.path().join("c.sock"));
    let before = sent(&pair.monitor);
    let too_long = too_long();
    for (expression, word) in BAD.into_iter().chain([(&too_long[..], "65536")]) {
        let mut captured = pair.monitor.command(build::captured().unwrap());
        captured.args(["run", "--quiet", "-i", "mon0", "-w"]).arg(&stored);
        captured.arg("--control").arg(&control).arg(expression);
        let begin = Instant::now();
        let output = command::output(&mut captured, b"").unwrap();
        let took = begin.elapsed();
        assert_refused(&output, expression, word);
        assert!(took < AT_ONCE, "`{expression}`: {took:?}");
        assert_eq!(sent(&pair.monitor), before, "`{expression}`: something was sent");
        let links = pair.monitor.ip("-d link").unwrap();
        assert!(!links.contains("xdp") && !stored.exists() && !control.exists());
    }
}

/// Sends frames, half of which the filter wants, and waits until these are written; `rounds` such
/// rounds were before.
fn assert_captures(daemon: &Daemon<'_>, pair: &Pair, rounds: &mut u64) {
    *rounds += 1;
    send(pair, (0..FRAMES).flat_map(|number| [frame(PORT, number), frame(80, number)]));
    let wanted = [2 * u64::from(FRAMES) * *rounds, u64::from(FRAMES) * *rounds];
    wait_until(PATIENCE, "the frames that the filter wants", || {
        let metrics = daemon.metrics()?;
        let names = ["capture_received_frames_total", "capture_written_frames_total"];
        let counts = names.map(|name| metrics.count(name, &[]));
        assert!(counts[1] <= wanted[1], "{counts:?} of {wanted:?}");
        Ok((counts == wanted).then_some(()))
    })
    .unwrap();
}

fn shown(daemon: &Daemon<'_>) -> String {
    let output = daemon.filter("show", &["--json"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    let filters: Value = serde_json::from_slice(&output.stdout).unwrap();
    filters[0]["filter"].as_str().unwrap().to_owned()
}

#[test]
fn a_running_filter_stays_when_another_is_refused() {
    let _alone = alone();
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("segments");
    let filter = format!("udp port {PORT}");
    let arguments = ["-i", "mon0", "-w", stored.to_str().unwrap(), &filter];
    let daemon = Daemon::start(&pair.monitor, &arguments).unwrap();
    let mut rounds = 0;
    assert_captures(&daemon, &pair, &mut rounds);
    let too_long = too_long();
    for (expression, word) in BAD.into_iter().chain([(&too_long[..], "65536")]) {
        let output = daemon.filter("set", &[expression]).unwrap();
        assert_refused(&output, expression, word);
        assert_eq!(shown(&daemon), filter);
    }
    assert_captures(&daemon, &pair, &mut rounds);

    // The daemon does not rely on whoever asks.
    for (expression, _) in BAD {
        let request = serde_json::json!({ "filter": expression }).to_string();
        let answer = client::put(&daemon.control(), "/v1/filters", request);
        let is_refused = matches!(&answer, Err(ClientError::Refused { status: 400, .. }));
        assert!(is_refused, "`{expression}`: {answer:?}");
    }
    let output = daemon.filter("set", &["-i", "mon7", "tcp"]).unwrap();
    assert_refused(&output, "-i mon7 tcp", "mon7");
    assert_eq!(shown(&daemon), filter);
    assert_captures(&daemon, &pair, &mut rounds);
    daemon.stop().unwrap();
}
