//! tcpdump, capturing beside captured.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::{Namespace, Process};

const SOON: Duration = Duration::from_secs(10);

/// A tcpdump that writes what it captures into a file. Dropped, it is killed.
///
/// Its slots are as long as the snap length and its buffer holds some thousands of them, so that it
/// loses none on a busy machine; it gets each frame at once, and not when a block of them is full.
pub struct Tcpdump {
    process: Process,
}

impl Tcpdump {
    /// Starts it and waits until it sees the next frame. It captures what matches the expression (all,
    /// if that is empty) into a file of nanosecond pcap.
    ///
    /// # Errors
    /// It could not be started, or does not take the expression; with what it said.
    pub fn start(
        namespace: &Namespace,
        interface: &str,
        file: &Path,
        expression: &str,
    ) -> Result<Self> {
        let mut command = namespace.command("tcpdump");
        command.args(["--snapshot-length=9216", "--buffer-size=65536", "--immediate-mode", "-U"]);
        command.args(["--time-stamp-precision=nano", "-Z", "root", "-n", "-i", interface, "-w"]);
        command.arg(file);
        if !expression.is_empty() {
            command.arg(expression);
        }
        let mut process = Process::start(&mut command)?;
        process.wait_for_stderr("listening on", SOON)?;
        Ok(Self { process })
    }

    /// Ends it; what it should have seen must have passed a moment ago. Returns how many frames it
    /// wrote.
    ///
    /// # Errors
    /// It does not end, or lost frames.
    pub fn stop(mut self) -> Result<u64> {
        self.process.signal(Signal::SIGINT)?;
        let status = self.process.wait(SOON)?;
        let said = self.process.stderr();
        ensure!(status.success(), "`{}`: {status}: {}", self.process.name(), said.trim());
        let count = |what: &str| -> Result<u64> {
            let line = said.lines().find_map(|line| line.strip_suffix(what));
            let count = line.with_context(|| format!("tcpdump did not say \"{what}\": {said}"))?;
            count.trim().parse().with_context(|| format!("tcpdump said \"{count}{what}\""))
        };
        match count(" packets dropped by kernel")? {
            0 => count(" packets captured").or_else(|_| count(" packet captured")),
            lost => bail!("`{}` lost {lost} frames", self.process.name()),
        }
    }
}
