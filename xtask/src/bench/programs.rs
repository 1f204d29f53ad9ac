//! Nanoseconds per frame of each eBPF program, by `BPF_PROG_RUN`.
//!
//! The programs are loaded by examples of capture-user, not in here: xtask sets up what building
//! them needs, and so must build without it.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    lab::{build, command},
    setup,
};

/// One program on frames of one size.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Cost {
    program: String,
    frame_bytes: u32,
    ns_per_frame: f64,
}

/// Builds and runs the example.
pub(super) fn measure() -> Result<Vec<Cost>> {
    let said = run_example("program_cost")?;
    serde_json::from_str(&said).with_context(|| format!("not what program_cost prints: {said}"))
}

/// Builds and runs an example of capture-user; returns what it prints.
pub(super) fn run_example(name: &str) -> Result<String> {
    let mut cargo: Command = setup::clean_cargo();
    cargo.current_dir(build::workspace());
    cargo.args(["run", "--quiet", "--release", "--package", "capture-user"]);
    cargo.args(["--example", name]);
    command::run(&mut cargo, b"")
}

/// A Markdown table.
pub(super) fn table(costs: &[Cost]) -> String {
    let mut table = String::from("| program | frame, bytes | ns per frame |\n|---|--:|--:|\n");
    for Cost { program, frame_bytes, ns_per_frame } in costs {
        // Writing to a string does not fail.
        let _infallible = writeln!(table, "| {program} | {frame_bytes} | {ns_per_frame:.0} |");
    }
    table
}
