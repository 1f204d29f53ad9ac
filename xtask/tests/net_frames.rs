//! Numbered frames of 60 to 9,000 bytes through the daemon in both modes: each is written once, whole,
//! in order, with a time of its own. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod traffic;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use traffic::{NUMBER_AT, PATIENCE, datagram, replay, sent, write_pcap};
use xtask::lab::{Daemon, Lab, PairOptions, build, daemon::segments, wait_until};

/// Frames on each of two wires, and how many of them a second: far below what is lost on two slow
/// cores.
const FRAMES: u32 = 500_000;
const RATE: u32 = 25_000;
const FLOWS: u32 = 16;
const WRITTEN: &str = "capture_written_frames_total";

/// Two cores: one loaded lab at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    build::captured().unwrap();
    alone
}

/// A frame of one of several flows that carries its number; one in sixteen is a jumbo frame.
fn frame(wire: u32, number: u32) -> Vec<u8> {
    let mixed = number as usize * 37;
    // By something else than the flow, or one flow would have all of them.
    let is_jumbo = (number / FLOWS).is_multiple_of(16);
    let length = if is_jumbo { 1515 + mixed % 7486 } else { 60 + mixed % 1455 };
    datagram([1024 + (number % FLOWS) as u16, 9], length, &[wire, number])
}

/// Timestamp and bytes of all frames of a nanosecond pcap file, in its order.
fn read_frames(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_3c4d, "nanoseconds");
    let (mut at, mut frames) = (24, Vec::new());
    while at < bytes.len() {
        let length = word(at + 8) as usize;
        assert_eq!(word(at + 12) as usize, length, "not cut");
        let time = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4));
        frames.push((time, bytes[at + 16..at + 16 + length].to_vec()));
        at += 16 + length;
    }
    frames
}

/// Each frame once, whole, in the order of its flow, each with a time of its own.
fn check(directory: &Path) {
    let mut next: BTreeMap<(u32, u32), (u32, u64)> = BTreeMap::new();
    let mut count = 0;
    for segment in segments(directory).unwrap() {
        for (time, bytes) in read_frames(&segment) {
            let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            let (wire, number) = (word(NUMBER_AT), word(NUMBER_AT + 4));
            assert_eq!(bytes, frame(wire, number), "wire {wire}, frame {number}");
            let flow = next.entry((wire, number % FLOWS)).or_insert((number % FLOWS, 0));
            assert_eq!(number, flow.0, "wire {wire}: order");
            assert!(time > flow.1, "wire {wire}, frame {number}: time {time} after {}", flow.1);
            *flow = (number + FLOWS, time);
            count += 1;
        }
    }
    assert_eq!(count, 2 * FRAMES);
}

fn numbered_frames(mode: &str) {
    let _alone = alone();
    let pair =
        Lab::pair(&PairOptions { links: 2, queues: 2, mtu: 9000, ..Default::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("captured.toml");
    fs::write(&config, "[tap]\nring_size = \"64MiB\"\n").unwrap();
    let stored = directory.path().join("segments");
    let interfaces = [0, 1].map(|wire| format!("{}:{mode}", pair.wires[wire].monitor));
    let daemon = Daemon::start(
        &pair.monitor,
        &[
            "--config",
            config.to_str().unwrap(),
            "-i",
            &interfaces[0],
            "-i",
            &interfaces[1],
            "-w",
            stored.to_str().unwrap(),
            "--format",
            "pcap",
        ],
    )
    .unwrap();
    let senders = [0, 1].map(|wire: u32| {
        let file = directory.path().join(format!("{wire}.pcap"));
        write_pcap(&file, (0..FRAMES).map(|number| frame(wire, number)));
        replay(&pair, wire as usize, &file, Some(RATE))
    });
    senders.into_iter().for_each(sent);
    wait_until(PATIENCE, "all frames to be written", || {
        Ok((daemon.metrics()?.count(WRITTEN, &[]) >= u64::from(2 * FRAMES)).then_some(()))
    })
    .unwrap();
    let metrics = daemon.metrics().unwrap();
    for name in ["received", "matched", "delivered", "written"] {
        let name = format!("capture_{name}_frames_total");
        assert_eq!(metrics.count(&name, &[("direction", "ingress")]), u64::from(2 * FRAMES));
    }
    assert_eq!(metrics.count("capture_lost_frames_total", &[]), 0);
    daemon.stop().unwrap();
    check(&stored);
}

#[test]
fn mirror_writes_each_frame_once() {
    numbered_frames("mirror");
}

#[test]
fn tap_writes_each_frame_once() {
    numbered_frames("tap");
}

/// A frame's time against that of a tcpdump at the sending end, which takes it when the frame is
/// handed to the wire: ours is later by the way through the wire and the receiving queue, which is
/// microseconds, and more when the CPU is busy. It is never earlier by more than the error of turning
/// the monotonic clock into wall-clock time.
#[test]
fn times_are_those_of_the_wire() {
    const CLOCK_ERROR: i64 = 50_000;
    const SENT: u32 = 5_000;
    let _alone = alone();
    let pair = Lab::pair(&PairOptions { links: 2, mtu: 9000, ..Default::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("segments");
    let reference = directory.path().join("reference.pcap");
    let arguments = ["-i", "mon0", "-w", stored.to_str().unwrap(), "--format", "pcap"];
    let daemon = Daemon::start(&pair.monitor, &arguments).unwrap();
    let output = reference.to_str().unwrap();
    let options = [
        "--time-stamp-precision=nano",
        "-Z",
        "root",
        "-B",
        "65536",
        "-s",
        "9216",
        "-U",
        "-w",
        output,
    ];
    let tcpdump = ["tcpdump", "-i", "tx0"].into_iter().chain(options);
    let mut tcpdump = pair.sender.spawn(&tcpdump.collect::<Vec<_>>()).unwrap();
    tcpdump.wait_for_stderr("listening on", PATIENCE).unwrap();

    let file = directory.path().join("0.pcap");
    write_pcap(&file, (0..SENT).map(|number| frame(0, number)));
    sent(replay(&pair, 0, &file, Some(SENT)));
    wait_until(PATIENCE, "all frames to be written", || {
        Ok((daemon.metrics()?.count(WRITTEN, &[]) >= u64::from(SENT)).then_some(()))
    })
    .unwrap();
    daemon.stop().unwrap();
    // It sees a block of frames only when the block is full or some time has passed.
    let whole: usize = 24 + (0..SENT).map(|number| 16 + frame(0, number).len()).sum::<usize>();
    wait_until(PATIENCE, "tcpdump to write all", || {
        Ok((fs::metadata(&reference)?.len() == whole as u64).then_some(()))
    })
    .unwrap();
    tcpdump.signal(nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(tcpdump.wait(PATIENCE).unwrap().success());

    let ours = read_frames(&segments(&stored).unwrap()[0]);
    let theirs = read_frames(&reference);
    assert_eq!((ours.len(), theirs.len()), (SENT as usize, SENT as usize));
    let mut later: Vec<i64> = ours
        .iter()
        .zip(&theirs)
        .map(|((our, our_bytes), (their, their_bytes))| {
            assert_eq!(our_bytes, their_bytes);
            our.cast_signed() - their.cast_signed()
        })
        .collect();
    later.sort_unstable();
    println!("ns after tcpdump at the sender: least {}, median {}", later[0], later[2_500]);
    assert!(later[0] > -CLOCK_ERROR, "{}", later[0]);
    assert!(later[2_500] < 10_000_000, "{}", later[2_500]);
}
