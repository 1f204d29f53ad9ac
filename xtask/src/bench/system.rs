//! What the system says of time and memory used.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// Where frames are made and go through the kernel.
pub(super) const GENERATOR_CPU: usize = 0;
/// Where capture tools run.
pub(super) const TOOL_CPU: usize = 1;

/// CPU seconds that a process has used so far, and the kernel's softirq threads with it; softirqs that
/// ran while a thread was on the CPU are in that thread's time. Exact to the nanosecond, unlike
/// /proc/stat, which counts what runs at each tick and misses most of a busy softirq.
pub(super) fn cpu_seconds(pid: Option<u32>) -> Result<f64> {
    let mut nanoseconds = 0;
    for process in Path::new("/proc").read_dir().context("cannot read /proc")? {
        let path = process?.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let is_ours = pid.is_some_and(|pid| path.ends_with(pid.to_string()));
        if is_ours || name.starts_with("ksoftirqd/") {
            nanoseconds += running_time(&path.join("task"))?;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Nanoseconds that all threads in this directory have been on a CPU.
fn running_time(tasks: &Path) -> Result<u64> {
    let mut sum = 0;
    for task in tasks.read_dir().with_context(|| format!("cannot read {}", tasks.display()))? {
        // Threads may end meanwhile.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// CPU seconds that the calling thread has used so far.
pub(super) fn thread_seconds() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
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
