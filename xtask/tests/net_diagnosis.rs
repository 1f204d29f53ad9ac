//! What captured says of every scene of the demo, with a thousand healthy connections beside them, and
//! of healthy connections alone. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use xtask::{
    demo::verdict::Verdict,
    lab::{Process, build},
};

const LIMIT: Duration = Duration::from_secs(80);
const CROWD: &str = "1000";

/// The demo has one output directory: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Not to be part of what is timed.
    build::captured().unwrap();
    alone
}

fn output(file: &str) -> PathBuf {
    build::target_directory().join("demo").join(file)
}

/// Runs the demo with a crowd beside the scenes, and returns its report; it must be satisfied.
fn report(scene: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["demo", "--no-install", "--scene", scene, "--crowd", CROWD]);
    let mut demo = Process::start(command.current_dir(build::workspace())).unwrap();
    let status = demo.wait(LIMIT).unwrap();
    assert!(status.success(), "{status}\n{}\n{}", demo.stdout(), demo.stderr());
    serde_json::from_slice(&fs::read(output("report.json")).unwrap()).unwrap()
}

fn verdict(said: &Value) -> Verdict {
    serde_json::from_value(said["verdict"].clone()).unwrap()
}

#[test]
fn every_verdict_holds_beside_a_thousand_healthy_connections() {
    let _alone = alone();
    let report = report("all");
    assert_eq!(report["ok"], true);
    let scenes = report["scenes"].as_array().unwrap();
    assert!(scenes.len() >= 20);
    let verdicts: Vec<_> = scenes.iter().map(|scene| verdict(&scene["said"])).collect();
    // The demo itself has compared each with what it expects. None that there is was left out.
    assert!(Verdict::ALL.iter().all(|verdict| verdicts.contains(verdict)), "{verdicts:?}");
    let crowd = &report["acts"][0]["crowd"];
    assert_eq!((&crowd["requests"], &crowd["answered"]), (&1000.into(), &1000.into()));
    assert_eq!(verdict(&crowd["said"]), Verdict::Healthy, "{crowd}");
}

#[test]
fn nothing_is_said_against_healthy_connections() {
    let _alone = alone();
    let report = report("working");
    assert_eq!(report["ok"], true);
    let trouble = &report["acts"][0]["counted"];
    let counts = trouble.as_object().unwrap().values();
    assert!(counts.filter_map(Value::as_u64).all(|count| count == 0), "{trouble}");
    assert_eq!(trouble["unreachables"], serde_json::json!({}));
    let diagnosis = fs::read(output("diagnosis.json")).unwrap();
    // All services that the daemon has seen, not only those of scenes.
    let diagnosis: Value = serde_json::from_slice(&diagnosis).unwrap();
    let services = diagnosis["services"].as_array().unwrap();
    let flows: u64 = services.iter().map(|service| service["flows"].as_u64().unwrap()).sum();
    assert!(flows >= 1001, "{flows} connections of 1,001 are in the diagnosis");
    for service in services {
        assert_eq!(service["verdict"], "healthy", "{service}");
        assert_eq!(service["flows"], service["healthy_flows"], "{service}");
        assert!(service["findings"].as_array().is_none_or(Vec::is_empty), "{service}");
    }
}
