//! What the system says of time and memory used.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Where frames are made and go through the kernel.
pub(super) const GENERATOR_CPU: usize = 0;
/// Where capture tools run.
pub(super) const TOOL_CPU: usize = 1;

/// Seconds that all CPUs were busy since boot, interrupts included.
pub(super) fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let ticks: Vec<u64> =
        stat.lines().next().unwrap_or("").split(' ').filter_map(|t| t.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&field| ticks.get(field)).sum();
    Ok(busy as f64 / 100.0)
}

/// Memory that could be had without swapping, in bytes.
pub(super) fn available_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(kib.context("/proc/meminfo has no MemAvailable")? * 1024)
}

/// The most memory that a process had resident, in KiB.
pub(super) fn peak_memory_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{path} has no VmHWM"))
}

/// Moves all threads of a process (0: the calling thread) to one CPU.
pub(super) fn pin(pid: u32, cpu: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu)?;
    let move_one = |thread: i32| {
        sched_setaffinity(Pid::from_raw(thread), &one).context("cannot move to another CPU")
    };
    if pid == 0 {
        return move_one(0);
    }
    let tasks = format!("/proc/{pid}/task");
    for task in Path::new(&tasks).read_dir().with_context(|| format!("cannot read {tasks}"))? {
        move_one(task?.file_name().to_string_lossy().parse()?)?;
    }
    Ok(())
}
