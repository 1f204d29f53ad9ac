//! One network namespace: a host or router of the lab.

use std::{
    ffi::OsStr,
    fs::{self, File},
    process::Command,
    thread,
};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use super::{Process, cleanup, command};

/// A network namespace. Dropped, it goes with all processes in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `<prefix>-<role>` with its loopback up.
    ///
    /// # Errors
    /// `ip netns add` failed: not root, iproute2 missing, or the name taken.
    pub fn create(prefix: &str, role: &str) -> Result<Self> {
        cleanup::prepare();
        let name = format!("{prefix}-{role}");
        cleanup::create(&name)
            .with_context(|| format!("cannot make the network namespace {name}"))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in here. `/sys` shows this namespace's interfaces to it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        // ip replaces itself by the program, so that the child's pid is the program's.
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program in here to its end and returns its standard output.
    ///
    /// # Errors
    /// As [`command::run`].
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        command::run(&mut self.prepared(argv)?, b"")
    }

    /// Starts a program in here.
    ///
    /// # Errors
    /// It could not be started. (A program that does not exist ends with status 255.)
    pub fn spawn(&self, argv: &[&str]) -> Result<Process> {
        Process::start(&mut self.prepared(argv)?)
    }

    /// Runs a closure on a thread that is in here, for sockets and `/proc/sys/net`. (`/sys` and
    /// `/proc/net` still show the outside; `/proc/thread-self/net` shows this namespace.)
    ///
    /// # Errors
    /// The thread could not enter, or the closure panicked.
    pub fn enter<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/run/netns/{}", self.name);
        let handle = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let inside = || -> Result<T> {
            setns(&handle, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("cannot enter {}", self.name))?;
            Ok(closure())
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("a closure running in {} panicked", self.name))?
    }

    /// `ip -n <name> <arguments>`, the arguments split at spaces.
    ///
    /// # Errors
    /// As [`command::run`].
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut ip = Command::new("ip");
        ip.args(["-n", &self.name]).args(arguments.split_whitespace());
        command::run(&mut ip, b"")
    }

    /// Sets `net.…` sysctls of this namespace, `("ipv4/ip_forward", "1")`.
    ///
    /// # Errors
    /// The kernel has no such setting, or did not take the value.
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            for (key, value) in settings {
                let path = format!("/proc/sys/net/{key}");
                fs::write(&path, value)
                    .with_context(|| format!("cannot write {value} to {path}"))?;
            }
            Ok(())
        })?
    }

    /// Applies nftables commands (the syntax of `nft -f`) in here.
    ///
    /// # Errors
    /// nft refused them; the message holds what it said.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        command::run(self.command("nft").args(["-f", "-"]), ruleset.as_bytes())
            .map(|_| ())
            .with_context(|| format!("cannot apply the firewall rules of {}", self.name))
    }

    fn prepared(&self, argv: &[&str]) -> Result<Command> {
        let (program, arguments) = argv.split_first().context("no program given")?;
        let mut command = self.command(program);
        command.args(arguments);
        Ok(command)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        cleanup::remove(&self.name);
    }
}
