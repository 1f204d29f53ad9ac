//! What captured costs, measured on this machine: each eBPF program by itself, and the daemon
//! beside other capture tools.

mod compare;
mod filters;
mod flows;
mod forward;
mod generator;
mod programs;
mod system;

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::lab::build;

/// Options of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// How long each tool is under load, at each frame size.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// One second for each.
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// Only the cases whose name contains this, such as "mirror", ", 1500 bytes" or "forwarding".
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// Everything that one run measured; `target/bench/results.json`.
#[derive(Debug, Serialize)]
struct Results {
    machine: String,
    programs: Vec<programs::Cost>,
    filters: Vec<filters::Cost>,
    flows: flows::Flows,
    captures: Vec<compare::Capture>,
    forwarding: Vec<forward::Forward>,
}

/// Measures, prints the table and writes `target/bench/results.json`.
///
/// # Errors
/// Something could not be built, started or measured; or the results could not be written.
pub fn run(args: Args) -> Result<()> {
    eprintln!("bench: building and running the eBPF programs by themselves");
    let programs = programs::measure()?;
    let filters = filters::measure()?;
    let flows = flows::measure()?;
    let seconds = if args.quick { 1 } else { args.seconds };
    let captures = compare::measure(Duration::from_secs(seconds), &args.only)?;
    let forwarding = forward::measure(Duration::from_secs(1), &args.only)?;
    let results = Results { machine: machine(), programs, filters, flows, captures, forwarding };
    let tables = [
        programs::table(&results.programs),
        filters::table(&results.filters),
        flows::table(&results.flows),
        compare::table(&results.captures),
        forward::table(&results.forwarding),
    ];
    println!("{}\n\n{}", results.machine, tables.join("\n"));
    let directory = build::target_directory().join("bench");
    fs::create_dir_all(&directory).context("cannot make target/bench")?;
    let path = directory.join("results.json");
    fs::write(&path, serde_json::to_string_pretty(&results)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Processor and kernel, in one line.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models = cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<_> = models.map(|(_, model)| model).collect();
    let model = models.first().copied().unwrap_or("unknown processor");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{} × {model}, Linux {}", models.len().max(1), kernel.trim())
}
