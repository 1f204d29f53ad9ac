//! Installs Debian packages without starting or enabling the services that some of them bring.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use nix::sys::signal::{SigSet, Signal};

/// The one Debian whose packages the set-up knows.
const RELEASE: &str = "12";

/// Whether this is the Debian that packages can be installed on.
pub(super) fn is_supported() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| is_supported_release(&text))
}

fn is_supported_release(os_release: &str) -> bool {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    value("ID") == Some("debian") && value("VERSION_ID") == Some(RELEASE)
}

/// Installs `packages`, and nothing that they only recommend.
///
/// # Errors
/// If apt cannot fetch or install them; the message ends with apt's own last lines.
pub(super) fn install(packages: &BTreeSet<String>, log: &Path) -> anyhow::Result<()> {
    let list: Vec<&str> = packages.iter().map(String::as_str).collect();
    super::say(&format!("installing Debian packages: {}", list.join(" ")));
    // An unreachable third-party source makes this fail although Debian's own lists came: what
    // counts is whether the packages can be fetched.
    let update = apt(&["update"], &[], log);
    let fetched = apt(&["install", "--download-only"], &list, log);
    if let Err(error) = fetched {
        return Err(match update {
            Ok(()) => error,
            Err(update) => error.context(update),
        });
    }
    // Interrupting dpkg leaves packages half configured, and interrupting us would leave the
    // guard in place. Everything slow (the download) has been done by now.
    let _uninterrupted = Uninterrupted::new()?;
    let guard = NoServices::new().context("services can't be kept from starting")?;
    let installed = apt(&["install", "--no-download"], &list, log);
    let ended = guard.end();
    installed?;
    ended
}

fn apt(action: &[&str], packages: &[&str], log: &Path) -> anyhow::Result<()> {
    let output = fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("can't write {}", log.display()))?;
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--yes", "--no-install-recommends", "--no-remove", "--quiet"])
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"])
        .args(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"])
        .args(action)
        .args(packages)
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("can't share the log file")?)
        .stderr(output);
    let status = command.status().context("apt-get does not start")?;
    if !status.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
        bail!("`apt-get {}` failed ({status}); {}:\n  {tail}", action.join(" "), log.display());
    }
    Ok(())
}

/// Holds back Ctrl-C and SIGTERM while it lives; they take effect afterwards. apt inherits this.
struct Uninterrupted(SigSet);

impl Uninterrupted {
    fn new() -> anyhow::Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().context("signals can't be held back")?;
        Ok(Self(signals))
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        // Can't fail with a set that was blocked before; nothing could be done about it here.
        let _ = self.0.thread_unblock();
    }
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
const SAVED_POLICY: &str = "/usr/sbin/policy-rc.d.saved-by-captured";
const POLICY_MARK: &str = "# captured's set-up: remove me";
/// Precedes, in the policy, each unit that was enabled before.
const ENABLED_MARK: &str = "# enabled: ";
const UNITS: &str = "/etc/systemd/system";

/// Puts right what a killed set-up left: services kept from starting, or enabled.
///
/// # Errors
/// If a file can't be moved or removed.
pub(super) fn recover() -> anyhow::Result<()> {
    let policy = fs::read_to_string(POLICY).unwrap_or_default();
    if !policy.contains(POLICY_MARK) {
        return restore_policy();
    }
    NoServices { enabled_before: enabled_in(&policy), active: true }.end()
}

/// Keeps maintainer scripts from starting services, through Debian's `policy-rc.d` interface, and
/// takes back what they enable for the next boot.
struct NoServices {
    enabled_before: BTreeSet<PathBuf>,
    active: bool,
}

impl NoServices {
    fn new() -> anyhow::Result<Self> {
        recover()?;
        match fs::rename(POLICY, SAVED_POLICY) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't move {POLICY} aside"));
            }
            _ => {}
        }
        let guard = Self { enabled_before: enabled_units(), active: true };
        fs::write(POLICY, policy(&guard.enabled_before))
            .and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("can't write {POLICY}"))?;
        Ok(guard)
    }

    fn end(mut self) -> anyhow::Result<()> {
        for link in enabled_units().difference(&self.enabled_before) {
            disable(link)?;
        }
        self.active = false;
        restore_policy()
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.active
            && let Err(error) = restore_policy()
        {
            super::say(&format!("{error:#}; put it right by hand"));
        }
    }
}

/// Forbids every action, and remembers which units were enabled.
fn policy(enabled: &BTreeSet<PathBuf>) -> String {
    // 101: "action forbidden by policy".
    let mut text = format!("#!/bin/sh\n{POLICY_MARK}\nexit 101\n");
    for link in enabled {
        text.push_str(&format!("{ENABLED_MARK}{}\n", link.display()));
    }
    text
}

fn enabled_in(policy: &str) -> BTreeSet<PathBuf> {
    policy.lines().filter_map(|line| line.strip_prefix(ENABLED_MARK)).map(PathBuf::from).collect()
}

fn restore_policy() -> anyhow::Result<()> {
    if Path::new(SAVED_POLICY).exists() {
        fs::rename(SAVED_POLICY, POLICY)
            .with_context(|| format!("can't move {SAVED_POLICY} back to {POLICY}"))
    } else if fs::read_to_string(POLICY).is_ok_and(|text| text.contains(POLICY_MARK)) {
        fs::remove_file(POLICY).with_context(|| format!("can't remove {POLICY}"))
    } else {
        Ok(())
    }
}

/// The links by which units are started at boot.
fn enabled_units() -> BTreeSet<PathBuf> {
    let directories = Path::new(UNITS).read_dir().into_iter().flatten().flatten();
    directories
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "wants" || end == "requires"))
        .flat_map(|directory| directory.read_dir().into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect()
}

/// Does what `systemctl disable` does, which need not be there to be asked, and the like for
/// System V's init.
fn disable(link: &Path) -> anyhow::Result<()> {
    fs::remove_file(link).with_context(|| format!("can't remove {}", link.display()))?;
    let name = link.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if Path::new("/etc/init.d").join(name).exists() {
        run("update-rc.d", &[name, "disable"])?;
    }
    super::say(&format!("left the service {name} neither started nor enabled"));
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} does not start"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed ({}): {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_12_is_taken_for_it() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian";
        assert!(is_supported_release(debian));
        assert!(!is_supported_release("ID=debian\nVERSION_ID=\"13\"\n"));
        assert!(!is_supported_release("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"12\"\n"));
        assert!(!is_supported_release(""));
    }

    #[test]
    fn the_policy_remembers_what_was_enabled() {
        let enabled = ["a.wants/ssh.service", "b.wants/x y.timer"].map(PathBuf::from);
        let enabled = BTreeSet::from(enabled);
        let text = policy(&enabled);
        assert!(text.contains(POLICY_MARK));
        assert_eq!(enabled_in(&text), enabled);
        assert!(enabled_in("#!/bin/sh\nexit 0\n").is_empty());
    }
}
