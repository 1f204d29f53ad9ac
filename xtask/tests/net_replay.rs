//! Real captures, replayed by tcpreplay over a wire to a running daemon, are counted as by tshark.
//!
//! They come faster than they were recorded, so only what does not depend on time is compared (see
//! `kernel_captures` in capture-user for the rest). Needs root, and the captures beside the project.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

#[path = "../../capture-user/tests/captures/expected.rs"]
#[allow(dead_code, reason = "the other test uses more of it")]
mod expected;
mod traffic;

use std::{path::Path, time::Duration};

use traffic::{replay, sent};
use xtask::lab::{Daemon, Lab, Metrics, PairOptions, build, wait_until};

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");
const PATIENCE: Duration = Duration::from_secs(30);

/// Each shows something else; none is cut by a snap length.
const FILES: [&str; 9] = [
    "tcp_dupack.pcapng",
    "tcp_retransmissions.pcapng",
    "tcp_zerowindowdead.pcapng",
    "tcp_zerowindowrecovery.pcapng",
    "http_espn_fail.pcapng",
    "one_tcp_stream_max_seq.pcap",
    "syn_retransmit_with_ts.pcap",
    "gre-aruba.pcap",
    "v6.pcap",
];

/// The columns of tshark's counts, and ours.
fn compared(metrics: &Metrics) -> [(&'static str, u64); 7] {
    let count = |name: &str, labels: &[(&str, &str)]| metrics.count(name, labels);
    let resent = count("capture_tcp_retransmissions_total", &[]);
    [
        (
            "spurious_retransmission",
            count("capture_tcp_retransmissions_total", &[("class", "spurious")]),
        ),
        ("resent_or_ooo", resent + count("capture_tcp_out_of_order_total", &[])),
        ("duplicate_ack", count("capture_tcp_duplicate_acks_total", &[])),
        ("keep_alive", count("capture_tcp_keep_alives_total", &[])),
        ("zero_window", count("capture_tcp_zero_windows_total", &[])),
        ("rst", count("capture_tcp_resets_total", &[])),
        ("lost_segment", count("capture_tcp_lost_segments_total", &[])),
    ]
}

#[test]
fn replayed_captures_are_counted_as_by_tshark() {
    let table = Path::new(CAPTURES).join("expected.tsv");
    if !table.exists() {
        println!("skipped: there are no captures at {CAPTURES}");
        return;
    }
    build::captured().unwrap();
    let rows = expected::read(&table);
    // Some frames are larger than 1,500 bytes: they were put together before they were captured.
    let pair = Lab::pair(&PairOptions { mtu: 9000, ..PairOptions::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().to_str().unwrap();
    for file in FILES {
        let row = rows.iter().find(|row| row.file == file).unwrap();
        // A daemon for each: the same connection is in several of them, and would go on.
        let arguments = ["-i", &pair.wires[0].monitor, "--count-only", "-w", target];
        let daemon = Daemon::start(&pair.monitor, &arguments).unwrap();
        sent(replay(&pair, 0, &Path::new(CAPTURES).join(file), None));
        let frames = row.number("frames");
        let ingress = [("direction", "ingress")];
        let found = wait_until(PATIENCE, "all frames to be counted", || {
            let found = daemon.metrics()?;
            Ok((found.count("capture_received_frames_total", &ingress) == frames).then_some(found))
        });
        let found = found.unwrap_or_else(|error| panic!("{file}, {frames} frames: {error}"));
        for (column, count) in compared(&found) {
            assert_eq!(count, row.number(column), "{file}: {column}");
        }
        daemon.stop().unwrap();
    }
}
