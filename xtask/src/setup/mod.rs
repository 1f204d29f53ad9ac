//! Set-up: finds out what a command lacks on this machine, and installs it on Debian 12.
//!
//! The check makes no network access and no call of apt, so that it costs next to nothing when all
//! is there. Anywhere but on Debian 12, and with `--no-install`, the set-up ends with one message
//! that names all that is missing.

mod debian;
mod ebpf;
mod missing;
mod needs;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::lab::build;
pub use ebpf::Toolchain;
use missing::Missing;

/// What the machine is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Plain `cargo build`.
    Build,
    /// `cargo xtask test`.
    Test,
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask bench`.
    Bench,
}

impl Purpose {
    /// The command that sets the machine up for it.
    pub fn command(self) -> &'static str {
        match self {
            Self::Build => "cargo xtask setup",
            Self::Test => "cargo xtask test",
            Self::Demo => "cargo xtask demo",
            Self::Bench => "cargo xtask bench",
        }
    }
}

/// Makes sure that all that `purpose` needs is there; with `install`, by installing it.
///
/// # Errors
/// If something is missing and was not or could not be installed. The message names all of it and
/// says how to install it.
pub fn ensure(purpose: Purpose, install: bool) -> anyhow::Result<()> {
    let is_root = nix::unistd::geteuid().is_root();
    if install && is_root {
        debian::recover().context("what a killed set-up left can't be put right")?;
    }
    let missing = Missing::find(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    if !install || !debian::is_supported() || missing.needs_rustup() {
        bail!("{missing}");
    }
    if !is_root {
        bail!("{missing}\nInstalling needs root, and this is not a root shell.");
    }
    install_all(purpose, &missing)?;
    let missing = Missing::find(purpose);
    if !missing.is_empty() {
        bail!("the set-up ran, and yet something is missing.\n{missing}");
    }
    say("done");
    Ok(())
}

/// Ends with a message unless root runs this: `what` says what needs it.
///
/// # Errors
/// If this process is not root's.
pub fn require_root(what: &str) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("{what} needs root (network namespaces, BPF programs); run it in a root shell");
    }
    Ok(())
}

fn install_all(purpose: Purpose, missing: &Missing) -> anyhow::Result<()> {
    let log = build::target_directory().join("setup.log");
    fs::create_dir_all(build::target_directory()).context("can't make the target directory")?;
    fs::write(&log, "").with_context(|| format!("can't write {}", log.display()))?;
    let packages = missing.debian_packages(purpose);
    if !packages.is_empty() {
        debian::install(&packages, &log)?;
    }
    if missing.lacks(ebpf::Lack::Compiler) {
        ebpf::link_toolchain()?;
    }
    if missing.lacks(ebpf::Lack::Linker) {
        let (major, package) = ebpf::llvm_package()?;
        if !Path::new(&format!("/usr/lib/llvm-{major}/bin/llvm-config")).exists() {
            debian::install(&BTreeSet::from([package]), &log)?;
        }
        ebpf::install_linker(major)?;
    }
    missing.components().try_for_each(install_component)
}

fn install_component(name: &str) -> anyhow::Result<()> {
    say(&format!("adding rustup's component {name}"));
    let status = Command::new("rustup")
        .args(["component", "add", name])
        .stdin(Stdio::null())
        .status()
        .context("rustup does not start")?;
    if !status.success() {
        bail!("`rustup component add {name}` failed ({status})");
    }
    Ok(())
}

/// Whether a program of this name can be run.
pub fn is_installed(program: &str) -> bool {
    needs::find_program(program).is_some()
}

fn say(step: &str) {
    eprintln!("set-up: {step}");
}

/// The cargo that runs this, without the variables of the package that it runs: build scripts that
/// watch those would run again with each change between `cargo xtask` and plain `cargo`.
pub fn clean_cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").map_or("cargo".into(), PathBuf::from));
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&key);
        }
    }
    cargo
}
