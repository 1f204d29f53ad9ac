//! `cargo xtask demo` as a user runs it: what it shows, what it leaves, and what it doesn't.
//! Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use xtask::lab::{Process, build, readers, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// Client, ISP, gateway, core and server.
const NAMESPACES: usize = 5;

/// The demo has one output directory: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Not to be part of what is timed or interrupted.
    build::captured().unwrap();
    alone
}

fn demo(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["demo", "--no-install"]).args(arguments);
    Process::start(command.current_dir(build::workspace())).unwrap()
}

fn output() -> PathBuf {
    build::target_directory().join("demo")
}

fn report() -> Value {
    serde_json::from_slice(&fs::read(output().join("report.json")).unwrap()).unwrap()
}

/// Namespaces that a process made.
fn namespaces(owner: u32) -> Vec<PathBuf> {
    let prefix = format!("cap{owner}-");
    let Ok(entries) = Path::new("/run/netns").read_dir() else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)))
        .collect()
}

/// A demo in the middle of its longest scene.
fn demo_in_scene_2() -> Process {
    let mut demo = demo(&["--scene", "rejected"]);
    demo.wait_for_stderr("scene 2", Duration::from_secs(60)).unwrap();
    assert_eq!(namespaces(demo.pid()).len(), NAMESPACES);
    demo
}

#[test]
fn the_demo_shows_what_it_promises() {
    let _alone = alone();
    let clock = Instant::now();
    let mut demo = demo(&[]);
    let status = demo.wait(Duration::from_secs(60)).unwrap();
    let (said, complained) = (demo.stdout(), demo.stderr());
    assert!(status.success(), "{status} after {:?}\n{said}\n{complained}", clock.elapsed());
    assert!(said.contains("tshark counts the same"), "{said}");
    assert_eq!(namespaces(demo.pid()), <[PathBuf; 0]>::default());

    let report = report();
    assert_eq!(report["ok"], true);
    let names: Vec<_> = report["scenes"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["working", "rejected", "not-listening"]);
    let look = report["look"].as_str().unwrap();
    assert!(said.contains(look));
    let mut shell = Command::new("sh");
    let shown = shell.args(["-c", look]).current_dir(build::workspace()).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("GET /index.html"), "{look}");
}

#[test]
fn the_segments_hold_what_was_on_the_wire() {
    let _alone = alone();
    assert!(demo(&[]).wait(Duration::from_secs(60)).unwrap().success());
    let segments = xtask::lab::daemon::segments(&output().join("segments")).unwrap();
    let frames: u64 = segments.iter().map(|file| readers::check(file).unwrap()).sum();
    let count = |filter: &str| readers::tshark(&segments, filter, &["frame.number"]).unwrap().len();
    assert_eq!(count("") as u64, frames);

    assert_eq!(count("tcp.port==8001 && tcp.flags.syn==1 && tcp.flags.ack==0"), 1);
    assert_eq!(count("tcp.port==8001 && tcp.flags.syn==1 && tcp.flags.ack==1"), 1);
    assert_eq!(count("tcp.port==8001 && http.request.method==\"GET\""), 1);
    assert_eq!(count("tcp.port==8001 && http.response.code==200"), 1);
    assert_eq!(count("tcp.port==8001 && tcp.flags.fin==1"), 2);
    assert_eq!(count("tcp.port==8001 && (tcp.analysis.flags || tcp.flags.reset==1)"), 0);
    let syns = count("tcp.port==8002 && tcp.flags.syn==1 && !icmp");
    assert!(syns >= 3, "{syns}");
    assert_eq!(count("tcp.port==8002 && !icmp && tcp.analysis.retransmission"), syns - 1);
    let rejected = "tcp.port==8002 && icmp.type==3 && icmp.code==3";
    assert_eq!(count(rejected), syns);
    assert_eq!(count(&format!("{rejected} && frame.interface_name==\"gw1\"")), syns);
    assert_eq!(count("tcp.port==8004 && tcp.flags.reset==1"), 1);
    let addressed = "ip.addr==198.51.100.2 && ip.addr==203.0.113.2";
    assert_eq!(count(&format!("tcp && !icmp && !({addressed})")), 0, "no frame of another host");
}

#[test]
fn ctrl_c_ends_it_and_leaves_nothing() {
    let _alone = alone();
    let mut demo = demo_in_scene_2();
    demo.signal(Signal::SIGINT).unwrap();
    let status = demo.wait(SOON).unwrap();
    assert_eq!(status.code(), Some(130), "{}", demo.stderr());
    assert_eq!(namespaces(demo.pid()), <[PathBuf; 0]>::default());
    let last = demo.stderr().lines().last().map(str::to_owned);
    assert_eq!(last.as_deref(), Some("interrupted: removing the lab"));
}

#[test]
fn what_a_killed_demo_leaves_goes_with_the_next() {
    let _alone = alone();
    let mut killed = demo_in_scene_2();
    killed.kill9().unwrap();
    assert_eq!(namespaces(killed.pid()).len(), NAMESPACES, "or this test shows nothing");
    assert!(demo(&["--scene", "4"]).wait(Duration::from_secs(60)).unwrap().success());
    assert_eq!(namespaces(killed.pid()), <[PathBuf; 0]>::default());
}

#[test]
fn kept_labs_live_until_ctrl_c_and_are_checked_then() {
    let _alone = alone();
    let mut demo = demo(&["--scene", "not-listening", "--keep"]);
    let client = format!("cap{}-client", demo.pid());
    wait_until(Duration::from_secs(60), "the demo to hold", || {
        assert_eq!(demo.ended().unwrap(), None, "{}", demo.stderr());
        Ok(demo.stdout().contains("until Ctrl-C").then_some(()))
    })
    .unwrap();
    // What the user tries meanwhile is captured too, and belongs to no scene.
    let mut curl = Command::new("ip");
    curl.args(["netns", "exec", &client, "curl", "-sm", "5", "http://203.0.113.2:8004/"]);
    assert_eq!(curl.status().unwrap().code(), Some(7));
    demo.signal(Signal::SIGINT).unwrap();
    let status = demo.wait(SOON).unwrap();
    assert!(status.success(), "{status}\n{}\n{}", demo.stdout(), demo.stderr());
    let segments = xtask::lab::daemon::segments(&output().join("segments")).unwrap();
    let resets = readers::tshark(&segments, "tcp.flags.reset==1", &["tcp.srcport"]).unwrap();
    assert_eq!(resets, [["8004"], ["8004"]]);
    assert_eq!(report()["acts"][0]["counted"]["resets"], 1);
}

#[test]
fn each_scene_can_be_played_alone() {
    let _alone = alone();
    for scene in ["loss-upstream", "gateway-drops", "reset-of-request", "mtu-black-hole", "14"] {
        let mut demo = demo(&["--scene", scene]);
        let status = demo.wait(Duration::from_secs(60)).unwrap();
        assert!(status.success(), "{scene}: {status}\n{}\n{}", demo.stdout(), demo.stderr());
        assert_eq!(report()["scenes"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn unknown_scenes_are_named() {
    let mut demo = demo(&["--scene", "opera"]);
    assert_eq!(demo.wait(SOON).unwrap().code(), Some(1));
    assert!(demo.stderr().contains("there is no scene \"opera\""), "{}", demo.stderr());
}
