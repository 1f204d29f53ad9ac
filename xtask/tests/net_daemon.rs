//! The daemon in network namespaces: frames written exactly once, faults told and survived.
//! Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use xtask::lab::{
    Daemon, HttpServer, Lab, Namespace, Pair, PairOptions, RoutedOptions, build, daemon::segments,
    http, readers, routed::SERVER_V4, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Frames on each wire, and how many of them a second: far below what is lost on two slow cores.
const FRAMES: u32 = 30_000;
const RATE: u32 = 5_000;
const FLOWS: u32 = 16;

/// Two cores: one loaded lab at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    build::captured().unwrap();
    alone
}

/// A UDP datagram of one of several flows that carries its number; 60 to 9,000 bytes.
fn frame(wire: u32, number: u32) -> Vec<u8> {
    let length = 60 + (number as usize * 37) % 8941;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend_from_slice(&((length - 14) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9]);
    frame.extend_from_slice(&(1024 + (number % FLOWS) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 9]);
    frame.extend_from_slice(&((length - 34) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&wire.to_be_bytes());
    frame.extend_from_slice(&number.to_be_bytes());
    let start = frame.len();
    frame.extend((start..length).map(|at| (at as u32 ^ number) as u8));
    frame
}

/// The frames of a wire as a pcap file, for tcpreplay.
fn write_frames(path: &Path, wire: u32) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1];
    header.iter().for_each(|word| file.write_all(&word.to_le_bytes()).unwrap());
    for number in 0..FRAMES {
        let frame = frame(wire, number);
        let length = frame.len() as u32;
        for word in [number / 1000, number % 1000, length, length] {
            file.write_all(&word.to_le_bytes()).unwrap();
        }
        file.write_all(&frame).unwrap();
    }
    file.flush().unwrap();
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

fn send(pair: &Pair, files: &Path) {
    let senders: Vec<_> = (0..2)
        .map(|wire| {
            let file = files.join(format!("{wire}.pcap"));
            write_frames(&file, wire);
            let rate = format!("--pps={RATE}");
            let interface = format!("--intf1={}", pair.wires[wire as usize].sender);
            let file = file.to_str().unwrap().to_owned();
            pair.sender.spawn(&["tcpreplay", "--quiet", &rate, &interface, &file]).unwrap()
        })
        .collect();
    for mut sender in senders {
        let status = sender.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", sender.stderr());
    }
}

/// Each frame once, whole, in the order of its flow, each with a time of its own.
fn check(directory: &Path) {
    let mut next: BTreeMap<(u32, u32), (u32, u64)> = BTreeMap::new();
    let mut count = 0;
    for segment in segments(directory).unwrap() {
        for (time, bytes) in read_frames(&segment) {
            let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            let (wire, number) = (word(42), word(46));
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
    send(&pair, directory.path());
    let name = "capture_written_frames_total";
    wait_until(PATIENCE, "all frames to be written", || {
        Ok((daemon.metrics()?.count(name, &[]) >= u64::from(2 * FRAMES)).then_some(()))
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

/// Runs the daemon where it must refuse; returns what it said.
fn refused(namespace: &Namespace, arguments: &[&str], code: i32, wanted: &[&str]) {
    let mut command = namespace.command(build::captured().unwrap());
    let Output { status, stderr, .. } =
        command.args(["run", "--quiet"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "{said}");
    for wanted in wanted {
        assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
    }
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    let links = namespace.ip("-d link").unwrap();
    assert!(!links.contains("xdp"), "{links}");
}

#[test]
fn mistakes_are_told_in_one_line_and_leave_nothing_attached() {
    let _alone = alone();
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let monitor = &pair.monitor;
    let directory = tempfile::tempdir().unwrap();
    let segments = directory.path().join("segments");
    let segments = segments.to_str().unwrap();
    refused(monitor, &["-i", "mon7", "-w", segments], 2, &["mon7", "mon0"]);
    refused(monitor, &["-w", "/proc/captured", "-i", "mon0"], 1, &["/proc/captured"]);

    let config = directory.path().join("bad.toml");
    fs::write(&config, "[tap]\nring_size = \"16MiB\"\nring = 1\n").unwrap();
    let config = config.to_str().unwrap();
    refused(monitor, &["--config", config, "-i", "mon0"], 2, &["bad.toml:3", "ring"]);

    let daemon = Daemon::start(monitor, &["-i", "mon0", "-w", segments]).unwrap();
    let mut command = monitor.command(build::captured().unwrap());
    let second = command.args(["run", "-q", "-i", "mon0", "-w"]).arg(directory.path());
    let said = String::from_utf8(second.output().unwrap().stderr).unwrap();
    assert!(said.contains("127.0.0.1:9411") && said.contains("--listen"), "{said}");
    let listen = ["-q", "--listen", "127.0.0.1:9412", "-i", "mon0", "-w", segments];
    let mut second = monitor.command(build::captured().unwrap());
    let said = second.arg("run").args(listen).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains(segments), "{said}");
    daemon.stop().unwrap();

    monitor.ip("addr add 192.0.2.1/24 dev mon0").unwrap();
    let mirror = ["-i", "mon0:mirror", "-w", segments];
    refused(monitor, &mirror, 2, &["mon0", "192.0.2.1", "force"]);
}

/// When XDP programs go, the veth driver throws away what lies in its receive rings at that instant:
/// seldom more than nothing, but then TCP sends it again, and the daemon is not to blame.
#[test]
fn killed_daemon_disturbs_nobody_and_its_partial_is_recovered() {
    let _alone = alone();
    let retransmissions: Vec<u64> = (0..3).map_while(kill_during_download).collect();
    assert!(retransmissions.len() < 3, "segments sent again each time: {retransmissions:?}");
}

/// `None` if no segment was sent again, else how many.
fn kill_during_download(_attempt: u32) -> Option<u64> {
    const BYTES: usize = 64 << 20;
    let lab = Lab::routed(&RoutedOptions { rate_mbit: Some(200), ..Default::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (www, stored) = (directory.path().join("www"), directory.path().join("segments"));
    fs::create_dir(&www).unwrap();
    let content: Vec<u8> = (0..BYTES).map(|at| (at / 7) as u8).collect();
    fs::write(www.join("big"), &content).unwrap();
    let _server = HttpServer::start(&lab.server, &www, 80).unwrap();
    let arguments = ["-i", "gw0", "-i", "gw1", "-w", stored.to_str().unwrap()];
    let daemon = Daemon::start(&lab.gateway, &arguments).unwrap();
    let before = retransmitted(&lab.server);

    let got = directory.path().join("got");
    let url = format!("http://{SERVER_V4}/big");
    let output = got.to_str().unwrap();
    let mut client =
        lab.client.spawn(&["curl", "-q", "-sS", "--noproxy", "*", "-o", output, &url]).unwrap();
    wait_until(PATIENCE, "the download to be under way", || {
        Ok(fs::metadata(&got).is_ok_and(|file| file.len() > BYTES as u64 / 8).then_some(()))
    })
    .unwrap();
    daemon.kill9().unwrap();
    assert!(fs::metadata(&got).unwrap().len() < BYTES as u64, "killed in the middle");
    let status = client.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", client.stderr());
    assert!(fs::read(&got).unwrap() == content, "what arrived is what was sent");
    let again = retransmitted(&lab.server) - before;

    assert!(segments(&stored).unwrap().is_empty(), "not published yet");
    let daemon = Daemon::start(&lab.gateway, &arguments).unwrap();
    let published = segments(&stored).unwrap();
    assert_eq!(published.len(), 1, "{}", daemon.stderr());
    assert!(readers::check(&published[0]).unwrap() > 1000);
    daemon.stop().unwrap();
    (again != 0).then_some(again)
}

/// TCP segments that the host has sent again so far.
fn retransmitted(host: &Namespace) -> u64 {
    let text = host.run(&["nstat", "-asz", "TcpRetransSegs"]).unwrap();
    let line = text.lines().find(|line| line.starts_with("TcpRetransSegs")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn full_disk_is_counted_and_left_behind() {
    let _alone = alone();
    let lab = Lab::routed(&RoutedOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (www, stored) = (directory.path().join("www"), directory.path().join("segments"));
    fs::create_dir(&www).unwrap();
    fs::create_dir(&stored).unwrap();
    fs::write(www.join("big"), vec![7; 8 << 20]).unwrap();
    let _server = HttpServer::start(&lab.server, &www, 80).unwrap();
    let small = Tmpfs::mount(&stored, "3m");
    let daemon =
        Daemon::start(&lab.gateway, &["-i", "gw0", "-i", "gw1", "-w", small.path]).unwrap();
    let url = format!("http://{SERVER_V4}/big");
    let download = || {
        let answer = http::get(&lab.client, &url, http::Patience::default()).unwrap();
        assert_eq!((answer.status, answer.error), (200, None));
    };
    download();
    wait_until(PATIENCE, "losses to be counted", || {
        let full = [("stage", "disk_full")];
        Ok((daemon.metrics()?.count("capture_lost_frames_total", &full) > 0).then_some(()))
    })
    .unwrap();
    small.grow("200m");
    let written = |daemon: &Daemon| daemon.metrics().unwrap().count(WRITTEN, &[]);
    let before = written(&daemon);
    download();
    wait_until(PATIENCE, "writing to go on", || {
        Ok((written(&daemon) > before + 1000).then_some(()))
    })
    .unwrap();
    wait_until(PATIENCE, "the ledger to close", || {
        let metrics = daemon.metrics()?;
        let matched = metrics.count("capture_matched_frames_total", &[]);
        let settled = metrics.count(WRITTEN, &[]) + metrics.count("capture_lost_frames_total", &[]);
        Ok((matched == settled).then_some(()))
    })
    .unwrap();
    daemon.stop().unwrap();
    for segment in segments(&stored).unwrap() {
        readers::check(&segment).unwrap();
    }
}

const WRITTEN: &str = "capture_written_frames_total";

/// A small file system, unmounted at the end.
struct Tmpfs<'a> {
    path: &'a str,
}

impl<'a> Tmpfs<'a> {
    fn mount(path: &'a Path, size: &str) -> Self {
        let path = path.to_str().unwrap();
        let options = format!("size={size}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs", path]).status();
        assert!(status.unwrap().success());
        Self { path }
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(
            Command::new("mount").args(["-o", &options, self.path]).status().unwrap().success()
        );
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ended = Command::new("umount").args(["-l", self.path]).status();
    }
}

#[test]
fn interface_that_comes_back_is_attached_again() {
    let _alone = alone();
    let pair = Lab::pair(&PairOptions::default()).unwrap();
    let monitor = &pair.monitor;
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["-i", "mon0", "-w", directory.path().to_str().unwrap()];
    let daemon = Daemon::start(monitor, &arguments).unwrap();
    let attach = |wanted: &'static str| {
        wait_until(PATIENCE, wanted, || {
            let labels = [("interface", "mon0"), ("attach", wanted)];
            Ok((daemon.metrics()?.count("capture_interface_info", &labels) == 1).then_some(()))
        })
        .unwrap();
    };
    attach("native");
    monitor.ip("link set mon0 down").unwrap();
    monitor.ip("link set mon0 up").unwrap();
    attach("native");
    monitor.ip("link del mon0").unwrap();
    attach("none");
    monitor.ip("link add mon0 type veth peer name mon1").unwrap();
    monitor.ip("link set mon1 up").unwrap();
    monitor.ip("link set mon0 up").unwrap();
    attach("native");
    monitor.ip("addr add 192.0.2.1/24 dev mon1").unwrap();
    let received = "capture_received_frames_total";
    let before = daemon.metrics().unwrap().count(received, &[]);
    // Nobody answers; the ARP requests are what is to be seen.
    let _unanswered = monitor.run(&["ping", "-c", "2", "-W", "1", "192.0.2.2"]);
    wait_until(PATIENCE, "frames on the new interface", || {
        Ok((daemon.metrics()?.count(received, &[]) > before).then_some(()))
    })
    .unwrap();
    daemon.stop().unwrap();
}
