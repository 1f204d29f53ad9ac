//! Which namespaces exist because of this process, and how they go.
//!
//! A namespace's name carries the pid of its owner (`cap<pid>-…`), so that whoever comes later
//! can tell the leftovers of the dead from the labs of the living.

use std::{
    fs,
    path::Path,
    process::{self, Command},
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{command, interrupt, wait_until};

/// Where iproute2 keeps its namespaces.
const NETNS_DIRECTORY: &str = "/run/netns";
const PREFIX: &str = "cap";

static LIVE: Mutex<Vec<String>> = Mutex::new(Vec::new());
static EXITING: AtomicBool = AtomicBool::new(false);
static LABS: AtomicU32 = AtomicU32::new(0);
static PREPARED: Once = Once::new();

/// What the names of a new lab's namespaces begin with: unique on this machine as long as this
/// process lives.
#[must_use]
pub fn new_prefix() -> String {
    match LABS.fetch_add(1, Relaxed) {
        0 => format!("{PREFIX}{}", process::id()),
        number => format!("{PREFIX}{}-{}", process::id(), number + 1),
    }
}

/// Once for the process: removes what dead processes left, and sees to it that Ctrl-C and SIGTERM
/// remove what this one makes.
pub fn prepare() {
    PREPARED.call_once(|| {
        for name in abandoned() {
            remove(&name);
        }
        interrupt::watch();
    });
}

/// Makes a namespace that is removed with this process at the latest.
///
/// # Errors
/// `ip netns add` failed.
pub fn create(name: &str) -> Result<()> {
    let mut live = changes();
    // Noted first: an `ip` that was interrupted may have left something.
    live.push(name.to_owned());
    command::run(Command::new("ip").args(["netns", "add", name]), b"").map(|_| ())
}

/// Kills what runs in a namespace, removes it, and forgets it.
pub fn remove(name: &str) {
    let mut live = changes();
    remove_now(name);
    live.retain(|live| live != name);
}

/// Removes all namespaces of this process and ends it.
pub fn exit(code: i32) -> ! {
    EXITING.store(true, Relaxed);
    // Held to the end: whoever wants to make or remove a namespace now waits until all is over.
    let live = changes();
    for name in live.iter().rev() {
        remove_now(name);
    }
    process::exit(code)
}

/// Is the process about to end? Then failures of other threads, whose namespaces vanish under
/// them, are not worth a word.
#[must_use]
pub fn exiting() -> bool {
    EXITING.load(Relaxed)
}

fn remove_now(name: &str) {
    if !Path::new(NETNS_DIRECTORY).join(name).exists() {
        return;
    }
    let emptied = wait_until(Duration::from_secs(5), "processes to end", || {
        let inside = pids(name);
        for pid in &inside {
            // It may have ended by itself meanwhile.
            let _gone = kill(*pid, Signal::SIGKILL);
        }
        Ok(inside.is_empty().then_some(()))
    });
    let deleted = emptied.and_then(|()| {
        command::run(Command::new("ip").args(["netns", "del", name]), b"").map(|_| ())
    });
    if let Err(error) = deleted {
        eprintln!("warning: cannot remove the network namespace {name}: {error:#}");
    }
}

/// Processes in a namespace, this one excepted.
fn pids(name: &str) -> Vec<Pid> {
    let list = command::run(Command::new("ip").args(["netns", "pids", name]), b"");
    let list = list.unwrap_or_default();
    let pids = list.lines().filter_map(|line| line.trim().parse().ok()).map(Pid::from_raw);
    pids.filter(|pid| *pid != nix::unistd::getpid()).collect()
}

/// Namespaces of processes that are gone.
fn abandoned() -> Vec<String> {
    let names = (|| -> Result<Vec<String>> {
        let entries = fs::read_dir(NETNS_DIRECTORY)?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    })();
    // The directory exists from the first namespace on.
    let names = names.unwrap_or_default();
    let dead =
        |name: &String| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    names.into_iter().filter(dead).collect()
}

/// Pid of the process that made a namespace, if a lab made it.
fn owner(name: &str) -> Option<u32> {
    let (pid, _role) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

/// The namespaces of this process, and the right to make or remove one.
fn changes() -> MutexGuard<'static, Vec<String>> {
    // A list of names is whole whatever the thread that panicked was doing.
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_labs_have_an_owner() {
        assert_eq!(owner("cap123-client"), Some(123));
        assert_eq!(owner("cap123-2-client"), Some(123));
        for other in ["cap-client", "capx1-client", "cap123", "other", "cap12x-a", ""] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn prefixes_are_unique_and_ours() {
        let (one, two) = (new_prefix(), new_prefix());
        assert_ne!(one, two);
        for prefix in [one, two] {
            assert_eq!(owner(&format!("{prefix}-server")), Some(process::id()));
        }
    }
}
