//! What the daemon survives, and the traffic with it: SIGKILL, a full disk, an interface that goes and
//! comes back. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use xtask::lab::{
    Daemon, HttpServer, Lab, Namespace, PairOptions, RoutedOptions, build, daemon::segments, http,
    readers, routed::SERVER_V4, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);
const WRITTEN: &str = "capture_written_frames_total";

/// Two cores: one loaded lab at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    build::captured().unwrap();
    alone
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
