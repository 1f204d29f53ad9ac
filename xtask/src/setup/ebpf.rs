//! What builds the eBPF programs: a compiler with the source of `core`, and bpf-linker.
//!
//! `capture-user/build.rs` makes the same choice of compiler: the toolchain that rustup knows as
//! `capture-ebpf` if there is one, else a nightly with `rust-src`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::{Purpose, needs::find_program};

/// The name under which rustup knows the linked toolchain.
pub const LINKED_TOOLCHAIN: &str = "capture-ebpf";

/// Debian's packages of a compiler, cargo and library source that match each other.
pub(super) const DEBIAN_COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_CLIPPY: &str = "rust-web-clippy";
const DEBIAN_PREFIX: &str = "/usr";

/// The oldest bpf-linker that is known to link these programs, and what is installed otherwise.
const LINKER_VERSION: (u32, u32) = (0, 13);

/// The oldest compiler of edition 2024 that the workspace takes (`rust-version`).
const COMPILER_VERSION: (u32, u32) = (1, 90);

/// A toolchain that can build the eBPF programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// Debian's compiler, linked into rustup.
    Linked,
    /// rustup's nightly with `rust-src`.
    Nightly,
}

impl Toolchain {
    /// The toolchain that is there, if any.
    pub fn find() -> Option<Self> {
        if compiler_under(&toolchain_directory(LINKED_TOOLCHAIN)).is_some() {
            Some(Self::Linked)
        } else {
            holds_core(&nightly_directory()).then_some(Self::Nightly)
        }
    }

    /// What `rustup run` calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linked => LINKED_TOOLCHAIN,
            Self::Nightly => "nightly",
        }
    }

    /// Whether it has a clippy of its own.
    pub fn has_clippy(&self) -> bool {
        let directory = match self {
            Self::Linked => toolchain_directory(LINKED_TOOLCHAIN),
            Self::Nightly => nightly_directory(),
        };
        directory.join("bin/cargo-clippy").exists()
    }
}

/// One thing of the eBPF build that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    Rustup,
    Compiler,
    Clippy,
    Linker,
}

impl Lack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Compiler => "a compiler for eBPF (with the source of core)",
            Self::Clippy => "clippy of the eBPF compiler",
            Self::Linker => "bpf-linker 0.13",
        }
    }
}

/// What the eBPF build of `purpose` lacks.
pub(super) fn lacks(purpose: Purpose) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if find_program("rustup").is_none() {
        lacks.push(Lack::Rustup);
    }
    match Toolchain::find() {
        None => lacks.push(Lack::Compiler),
        // A nightly without clippy is made do with (see `suite`).
        Some(Toolchain::Linked) if purpose == Purpose::Test && !Toolchain::Linked.has_clippy() => {
            lacks.push(Lack::Clippy);
        }
        Some(_) => {}
    }
    if linker_version().is_none_or(|version| version < LINKER_VERSION) {
        lacks.push(Lack::Linker);
    }
    lacks
}

/// The Debian packages that are the first step to what `lacks` names.
pub(super) fn debian_packages(lacks: &[Lack], purpose: Purpose) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if lacks.contains(&Lack::Compiler) && compiler_under(Path::new(DEBIAN_PREFIX)).is_none() {
        packages.extend(DEBIAN_COMPILER);
    }
    let compiler_comes = lacks.contains(&Lack::Compiler) && purpose == Purpose::Test;
    if (compiler_comes && !Path::new("/usr/bin/cargo-clippy").exists())
        || lacks.contains(&Lack::Clippy)
    {
        packages.push(DEBIAN_CLIPPY);
    }
    packages
}

/// Links Debian's compiler into rustup.
///
/// # Errors
/// If the installed compiler is too old, or rustup refuses.
pub(super) fn link_toolchain() -> anyhow::Result<()> {
    if compiler_under(Path::new(DEBIAN_PREFIX)).is_none() {
        bail!(
            "Debian's rustc-web is older than {}.{}: is bookworm-security among apt's sources?",
            COMPILER_VERSION.0,
            COMPILER_VERSION.1
        );
    }
    super::say(&format!("linking {DEBIAN_PREFIX} into rustup as {LINKED_TOOLCHAIN}"));
    let output = Command::new("rustup")
        .args(["toolchain", "link", LINKED_TOOLCHAIN, DEBIAN_PREFIX])
        .stdin(Stdio::null())
        .output()
        .context("rustup does not start")?;
    if !output.status.success() {
        bail!("rustup toolchain link: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The Debian package of the LLVM that Debian's compiler emits bitcode for: bpf-linker must be
/// built with that one.
pub(super) fn llvm_package() -> anyhow::Result<(u32, String)> {
    let compiler = compiler_under(Path::new(DEBIAN_PREFIX))
        .with_context(|| format!("no usable rustc below {DEBIAN_PREFIX}"))?;
    Ok((compiler.llvm, format!("llvm-{}-dev", compiler.llvm)))
}

/// Builds bpf-linker against LLVM `major`.
///
/// # Errors
/// If cargo can't fetch or build it.
pub(super) fn install_linker(major: u32) -> anyhow::Result<()> {
    super::say("building bpf-linker 0.13 (once, a minute or two)");
    let status = super::clean_cargo()
        .args(["install", "--quiet", "--locked", "bpf-linker", "--version", "^0.13"])
        .args(["--no-default-features", "--features", &format!("llvm-{major}")])
        .env("LLVM_PREFIX", format!("/usr/lib/llvm-{major}"))
        .stdin(Stdio::null())
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("bpf-linker was not built ({status}); cargo says above why");
    }
    Ok(())
}

struct Compiler {
    llvm: u32,
}

/// A compiler below `prefix` that is new enough and has the source of `core`.
fn compiler_under(prefix: &Path) -> Option<Compiler> {
    if !holds_core(prefix) || !prefix.join("bin/cargo").exists() {
        return None;
    }
    let output = Command::new(prefix.join("bin/rustc")).arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let release = major_and_minor(value("release: ")?)?;
    let (llvm, _) = major_and_minor(value("LLVM version: ")?)?;
    (release >= COMPILER_VERSION).then_some(Compiler { llvm })
}

fn holds_core(toolchain: &Path) -> bool {
    toolchain.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists()
}

fn toolchain_directory(name: &str) -> PathBuf {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| {
        let home = PathBuf::from(env::var_os("HOME")?);
        Some(home.join(".rustup"))
    });
    home.unwrap_or_default().join("toolchains").join(name)
}

fn nightly_directory() -> PathBuf {
    toolchain_directory(&format!("nightly-{}-unknown-linux-gnu", env::consts::ARCH))
}

fn linker_version() -> Option<(u32, u32)> {
    let output = Command::new("bpf-linker").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    major_and_minor(text.strip_prefix("bpf-linker ")?)
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_major_and_minor() {
        assert_eq!(major_and_minor("1.96.0"), Some((1, 96)));
        assert_eq!(major_and_minor("22.1.8\n"), Some((22, 1)));
        assert_eq!(major_and_minor("0.13.0"), Some((0, 13)));
        assert_eq!(major_and_minor("nightly"), None);
        assert_eq!(major_and_minor(""), None);
    }

    #[test]
    fn a_directory_without_library_source_is_no_ebpf_compiler() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert!(compiler_under(directory.path()).is_none());
    }

    #[test]
    fn clippy_comes_with_the_compiler_for_tests_only() {
        let lacks = [Lack::Clippy];
        assert_eq!(debian_packages(&lacks, Purpose::Test), [DEBIAN_CLIPPY]);
        assert!(debian_packages(&[Lack::Linker], Purpose::Demo).is_empty());
    }
}
