//! captured itself, running in a namespace.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{ExitStatus, Output},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Metrics, Namespace, Process, build, command, wait_until};

/// Where the daemon listens unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:9411";

/// Name of a daemon's control socket, in a directory of its own: network namespaces share the file
/// system.
const SOCKET: &str = "control.sock";

/// Loading the programs takes most of it; the verifier is slow on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Draining and closing segments.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running daemon. Dropped, it is killed.
pub struct Daemon<'a> {
    namespace: &'a Namespace,
    process: Process,
    listen: String,
    /// Where its control socket is.
    directory: TempDir,
}

impl<'a> Daemon<'a> {
    /// Starts `captured run <arguments>` (the release build; built first if need be) in a
    /// namespace and waits until it is ready.
    ///
    /// # Errors
    /// It could not be built or started, ended, or is not ready in time; with what it said.
    pub fn start<S: AsRef<OsStr>>(namespace: &'a Namespace, arguments: &[S]) -> Result<Self> {
        let mut daemon = Self::start_unready(namespace, arguments)?;
        daemon.wait_ready(START_LIMIT)?;
        Ok(daemon)
    }

    /// As [`Self::start`], without waiting.
    ///
    /// # Errors
    /// It could not be built or started.
    pub fn start_unready<S: AsRef<OsStr>>(
        namespace: &'a Namespace,
        arguments: &[S],
    ) -> Result<Self> {
        let mut captured = namespace.command(build::captured()?);
        let directory = TempDir::new().context("cannot make a directory for the control socket")?;
        captured.arg("run").arg("--control").arg(directory.path().join(SOCKET)).args(arguments);
        let process = Process::start(&mut captured)?;
        Ok(Self { namespace, process, listen: listen_address(arguments), directory })
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Errors
    /// The daemon ended, or `limit` went by; with what it said.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        let waited = wait_until(limit, "captured to be ready", || {
            if let Some(status) = self.process.ended()? {
                bail!("captured ended: {status}");
            }
            // No answer yet is what we wait out.
            let ready = self.get("/readyz").is_ok_and(|answer| answer.status == 200);
            Ok(ready.then_some(()))
        });
        waited.with_context(|| format!("captured said: {}", self.stderr().trim()))
    }

    /// Asks the daemon for a path over HTTP.
    ///
    /// # Errors
    /// No answer within 5 s.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let url = self.url(path);
        let mut curl = self.namespace.command("curl");
        curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "5"]);
        curl.args(["--write-out", "\n%{http_code}", &url]);
        let text = command::run(&mut curl, b"")?;
        let (body, status) = text.rsplit_once('\n').with_context(|| format!("{url}: no status"))?;
        let status = status.parse().with_context(|| format!("{url}: status {status}"))?;
        Ok(Answer { status, body: body.to_owned() })
    }

    /// Scrapes `/metrics`.
    ///
    /// # Errors
    /// No answer, another status than 200, or a text that is not in Prometheus's format.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.metrics_text()?)
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// No answer, or another status than 200.
    pub fn metrics_text(&self) -> Result<String> {
        let Answer { status, body } = self.get("/metrics")?;
        ensure!(status == 200, "{}: status {status}: {}", self.url("/metrics"), body.trim());
        Ok(body)
    }

    /// URL of a path, to be used inside the namespace.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// Its control socket, for `captured filter --control`.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// Runs `captured filter <action> <arguments>` against it to its end.
    ///
    /// # Errors
    /// It could not be started.
    pub fn filter<S: AsRef<OsStr>>(&self, action: &str, arguments: &[S]) -> Result<Output> {
        let mut captured = self.namespace.command(build::captured()?);
        captured.args(["filter", action, "--control"]).arg(self.control()).args(arguments);
        command::output(&mut captured, b"")
    }

    /// As [`Self::filter`] with the action `set`, and it must work.
    ///
    /// # Errors
    /// It could not be started, or ended with another status than 0; with what it said.
    pub fn set_filter<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<()> {
        let output = self.filter("set", arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "captured filter set: {}: {said}", output.status);
        Ok(())
    }

    /// The namespace that it runs in.
    #[must_use]
    pub fn namespace(&self) -> &'a Namespace {
        self.namespace
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it wrote to its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// The process, for waits and signals of other kinds.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGTERM, and waits for the end; returns what it wrote to its standard error.
    ///
    /// # Errors
    /// It does not end within 20 s, or with another status than 0; with what it said.
    pub fn stop(mut self) -> Result<String> {
        self.process.signal(Signal::SIGTERM)?;
        let ended = self.process.wait(STOP_LIMIT);
        let said = self.stderr();
        let status = ended.with_context(|| format!("captured said: {}", said.trim()))?;
        ensure!(status.success(), "captured ended with {status}: {}", said.trim());
        Ok(said)
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// It had ended by itself before, or does not go.
    pub fn kill9(mut self) -> Result<ExitStatus> {
        if let Some(status) = self.process.ended()? {
            bail!("captured had ended before: {status}: {}", self.stderr().trim());
        }
        self.process.kill9()
    }
}

/// The daemon's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// The segments in a directory, published ones only, in the order of their names, and so of time.
///
/// # Errors
/// The directory cannot be read.
pub fn segments(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", directory.display());
    let mut segments = Vec::new();
    for entry in directory.read_dir().with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let is_capture = name.ends_with(".pcapng") || name.ends_with(".pcap");
        if name.starts_with("captured_") && is_capture {
            segments.push(path);
        }
    }
    segments.sort();
    Ok(segments)
}

/// The value of `--listen` among the daemon's arguments, or the default.
fn listen_address<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let mut words = arguments.iter().map(|word| word.as_ref().to_string_lossy());
    while let Some(word) = words.next() {
        if word == "--listen" {
            return words.next().unwrap_or_default().into_owned();
        }
        if let Some(address) = word.strip_prefix("--listen=") {
            return address.to_owned();
        }
    }
    LISTEN.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_listen_address() {
        assert_eq!(listen_address(&["-i", "gw0"]), LISTEN);
        assert_eq!(listen_address(&["--listen", "[::1]:80", "-i", "gw0"]), "[::1]:80");
        assert_eq!(listen_address(&["--listen=127.0.0.1:1"]), "127.0.0.1:1");
    }

    #[test]
    fn only_published_segments_count() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["captured_2_0.pcapng", ".captured_3_0.pcapng", "captured_1_0.pcap", "x.pcap"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let found = segments(directory.path()).unwrap();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["captured_1_0.pcap", "captured_2_0.pcapng"]);
    }
}
