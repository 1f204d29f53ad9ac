//! Filters that change while frames come, in both modes at once: none is lost or doubled by it.

use std::{collections::BTreeMap, path::PathBuf};

use tempfile::TempDir;
use xtask::lab::{Daemon, Lab, Metrics, Pair, PairOptions, daemon::segments, wait_until};

use crate::{
    alone,
    traffic::{self, NUMBER_AT, PATIENCE, datagram, read_pcap, replay, write_pcap},
};

/// Frames on each of two wires, and how many of them a second: as fast as two slow cores write them
/// all while they also compile filters and have them verified.
const FRAMES: u32 = 120_000;
const RATE: u32 = 30_000;
/// Changes that there must be while frames come.
const CHANGES: usize = 200;
/// Where the parity of a frame's number shows.
const PORTS: [u16; 2] = [1000, 1001];

fn frame(wire: u32, number: u32) -> Vec<u8> {
    let port = PORTS[number as usize % 2];
    datagram([1024, port], 60 + (number as usize * 37) % 600, &[wire, number])
}

/// Two wires, of which one ends in tap mode and the other in mirror mode.
struct Load {
    pair: Pair,
    directory: TempDir,
}

impl Load {
    fn new() -> Self {
        let pair = Lab::pair(&PairOptions { links: 2, ..Default::default() }).unwrap();
        Self { pair, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self, expression: &str) -> Daemon<'_> {
        let config = self.path("captured.toml");
        std::fs::write(&config, "[tap]\nring_size = \"64MiB\"\n").unwrap();
        let (config, stored) = (config.to_str().unwrap().to_owned(), self.path("segments"));
        let arguments =
            ["--config", &config, "-i", "mon0", "-i", "mon1:mirror", "--format", "pcap"];
        let arguments = [&arguments[..], &["-w", stored.to_str().unwrap(), expression]].concat();
        Daemon::start(&self.pair.monitor, &arguments).unwrap()
    }

    /// Sends all frames over both wires, and sets one filter after the other meanwhile; returns how
    /// many.
    fn change_while_sending(&self, daemon: &Daemon<'_>, filters: &[&[&str]]) -> usize {
        let mut senders = [0, 1].map(|wire: u32| {
            let file = self.path(&format!("{wire}.pcap"));
            write_pcap(&file, (0..FRAMES).map(|number| frame(wire, number)));
            replay(&self.pair, wire as usize, &file, Some(RATE))
        });
        let mut changes = 0;
        for filter in filters.iter().cycle() {
            if senders.iter_mut().any(|sender| sender.ended().unwrap().is_some()) {
                break;
            }
            daemon.set_filter(filter).unwrap();
            changes += 1;
        }
        senders.into_iter().for_each(traffic::sent);
        println!("{changes} changes");
        assert!(changes >= CHANGES, "{changes} changes");
        changes
    }

    /// Numbers of the frames of each wire in the segments, which must be whole, in their order.
    fn written(&self) -> [Vec<u32>; 2] {
        let mut numbers = [Vec::new(), Vec::new()];
        for segment in segments(&self.path("segments")).unwrap() {
            for recorded in read_pcap(&segment) {
                let word =
                    |at: usize| u32::from_be_bytes(recorded.bytes[at..at + 4].try_into().unwrap());
                let (wire, number) = (word(NUMBER_AT), word(NUMBER_AT + 4));
                assert_eq!(recorded.bytes, frame(wire, number), "wire {wire}, frame {number}");
                numbers[wire as usize].push(number);
            }
        }
        numbers
    }
}

/// The ledger of each interface when all is written.
fn settled(daemon: &Daemon<'_>) -> [BTreeMap<&'static str, u64>; 2] {
    let lines = |metrics: &Metrics| {
        ["mon0", "mon1"].map(|interface| {
            let labels = [("interface", interface), ("direction", "ingress")];
            let names = ["received", "matched", "delivered", "written", "lost"];
            let count = |name| metrics.count(&format!("capture_{name}_frames_total"), &labels);
            names.map(|name| (name, count(name))).into()
        })
    };
    let settled = wait_until(PATIENCE, "all frames to be written", || {
        let lines: [BTreeMap<&str, u64>; 2] = lines(&daemon.metrics()?);
        let open = lines.iter().any(|line| {
            line["received"] < FRAMES.into() || line["matched"] != line["written"] + line["lost"]
        });
        Ok((!open).then_some(lines))
    });
    settled.unwrap_or_else(|error| panic!("{error}\n{}", daemon.metrics_text().unwrap()))
}

#[test]
fn no_frame_is_lost_or_doubled_when_filters_that_match_all_change() {
    let _alone = alone();
    let load = Load::new();
    let hosts: String = (1..20).map(|number| format!("host 10.0.0.{number} or ")).collect();
    let list = hosts + "host 203.0.113.9";
    let filters: [&[&str]; 5] = [
        &["--all"],
        &["udp and dst portrange 1000-1001"],
        &["ip", "and", "not", "tcp"],
        &[&list],
        &["udp"],
    ];
    let daemon = load.start("udp");
    load.change_while_sending(&daemon, &filters);
    for line in settled(&daemon) {
        let wanted = [("received", FRAMES), ("matched", FRAMES), ("delivered", FRAMES)];
        let wanted = wanted.into_iter().chain([("written", FRAMES), ("lost", 0)]);
        assert_eq!(line, wanted.map(|(name, count)| (name, count.into())).collect());
    }
    daemon.stop().unwrap();
    let all: Vec<u32> = (0..FRAMES).collect();
    assert!(load.written().iter().all(|numbers| *numbers == all), "each once, in order");
}

#[test]
fn each_frame_meets_the_old_filter_or_the_new_one() {
    let _alone = alone();
    let load = Load::new();
    let filters: [&[&str]; 2] = [&["udp[2:2] & 1 = 1"], &["udp[2:2] & 1 = 0"]];
    let daemon = load.start(filters[1][0]);
    let changes = load.change_while_sending(&daemon, &filters);
    let ledger = settled(&daemon);
    daemon.stop().unwrap();
    for (numbers, line) in load.written().iter().zip(ledger) {
        assert_eq!((line["received"], line["lost"]), (FRAMES.into(), 0));
        assert_eq!((line["matched"], line["delivered"]), (line["written"], line["written"]));
        assert_eq!(line["written"], numbers.len() as u64);
        // The next of the same side is two later. A change just before the next frame shows it, and
        // one just behind the next, which no filter wanted, shows the one after that but one.
        let steps = numbers.windows(2).map(|pair| pair[1] - pair[0]);
        let sides = steps.fold(0, |sides, step| match step {
            2 => sides,
            1 | 3 => sides + 1,
            other => panic!("a step of {other}"),
        });
        assert!(numbers[0] < 3 && numbers[numbers.len() - 1] >= FRAMES - 3, "from end to end");
        // Some changes came before the first frame or behind the last.
        assert!(sides >= CHANGES && sides <= changes, "{sides} sides, {changes} changes");
    }
}
