//! Programs that run while the lab does something else.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{command, wait_until};

/// How long the pipes of an ended process may stay open (in children that it left).
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running program. Dropped, it is killed with all that it started.
///
/// It has a process group of its own, so that Ctrl-C reaches the lab first and the order of
/// ending is the lab's.
pub struct Process {
    name: String,
    child: Child,
    /// Set when the child was waited for: from then on its pid may be another's.
    status: Option<ExitStatus>,
    stdout: Collector,
    stderr: Collector,
}

impl Process {
    /// Starts a command and collects all that it says.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command::line(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.process_group(0).spawn().with_context(|| format!("cannot start `{name}`"))?;
        let stdout = Collector::start(child.stdout.take());
        let stderr = Collector::start(child.stderr.take());
        Ok(Self { name, child, status: None, stdout, stderr })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its command line.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it wrote to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Its exit status, if it has ended. What it left running is killed then.
    ///
    /// # Errors
    /// The system could not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let state = waitid(Id::Pid(self.pid_for_signals()), look);
            let state = state.with_context(|| format!("cannot watch `{}`", self.name))?;
            if state != WaitStatus::StillAlive {
                self.reap()?;
            }
        }
        Ok(self.status)
    }

    /// Sends a signal; it has no effect on a process that has ended.
    ///
    /// # Errors
    /// The system did not let us.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        let sent = kill(self.pid_for_signals(), signal);
        sent.with_context(|| format!("cannot send {signal} to `{}`", self.name))
    }

    /// Waits for its end; afterwards all that it said is collected.
    ///
    /// # Errors
    /// It did not end in time; it runs on.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("`{}` to end", self.name);
        let status = wait_until(limit, &what, || self.ended())?;
        self.collect();
        Ok(status)
    }

    /// Waits until a line of its standard error holds `words`, and returns that line.
    ///
    /// # Errors
    /// It ended, or `limit` went by, without having said it.
    pub fn wait_for_stderr(&mut self, words: &str, limit: Duration) -> Result<String> {
        let what = format!("`{}` to say \"{words}\"", self.name);
        wait_until(limit, &what, || {
            // In this order, or what it said last is missed.
            let ended = self.ended()?;
            if ended.is_some() {
                self.collect();
            }
            let said = self.stderr();
            let line = said.lines().find(|line| line.contains(words)).map(str::to_owned);
            match (line, ended) {
                (None, Some(status)) => bail!("`{}`: {status}: {}", self.name, said.trim()),
                (line, _) => Ok(line),
            }
        })
    }

    /// Ends it as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// It does not go.
    pub fn kill9(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10))
    }

    fn pid_for_signals(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Kills the group and waits for the child, in this order: as long as nobody waited for it,
    /// its pid, which is also the group's number, is nobody else's.
    fn reap(&mut self) -> Result<()> {
        let _gone = killpg(self.pid_for_signals(), Signal::SIGKILL);
        let status = self.child.wait();
        self.status = Some(status.with_context(|| format!("cannot wait for `{}`", self.name))?);
        Ok(())
    }

    fn collect(&mut self) {
        for collector in [&mut self.stdout, &mut self.stderr] {
            // Whoever still holds the other end may have more to say, but not to us.
            let _open = wait_until(LAST_WORDS, "", || Ok(collector.finished().then_some(())));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Nobody is left to be told.
            let _unknown = self.reap();
        }
    }
}

/// A thread that reads a pipe to its end.
struct Collector {
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&said);
        let reader = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut part) {
                    let mut said = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    said.extend_from_slice(&part[..length]);
                }
            })
        });
        Self { said, reader }
    }

    fn text(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    fn finished(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn collects_what_it_said_and_how_it_ended() {
        let mut process = shell("echo out; echo err >&2; exit 7");
        let status = process.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.code(), Some(7));
        assert_eq!((process.stdout(), process.stderr()), ("out\n".into(), "err\n".into()));
    }

    #[test]
    fn waits_for_words() {
        let mut process = shell("echo one >&2; echo ready at 5 >&2; exec sleep 60");
        let line = process.wait_for_stderr("ready", Duration::from_secs(10)).unwrap();
        assert_eq!(line, "ready at 5");
        let mut mute = shell("echo broken >&2; exit 1");
        let error = mute.wait_for_stderr("ready", Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().ends_with("broken"), "{error}");
    }

    #[test]
    fn takes_its_children_along() {
        let mut process = shell("sleep 1000 & echo $! >&2; wait");
        let child = process.wait_for_stderr("", Duration::from_secs(10)).unwrap();
        let child = Pid::from_raw(child.trim().parse().unwrap());
        assert!(kill(child, None).is_ok());
        drop(process);
        wait_until(Duration::from_secs(10), "the child to go", || {
            // An orphan stays a zombie until init takes it in.
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
            Ok(stat.map_or(true, |stat| stat.contains(") Z ")).then_some(()))
        })
        .unwrap();
    }
}
