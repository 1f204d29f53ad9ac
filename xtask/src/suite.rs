//! `cargo xtask test`: lints, the release daemon, and every test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::{
    lab::build,
    setup::{self, Toolchain},
};

/// The packages that are built for the host.
const HOST: [&str; 3] = ["--workspace", "--exclude", "capture-ebpf"];

/// What to test.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run only this tier's tests, and no lints.
    #[arg(long, value_enum)]
    tier: Option<Tier>,
    /// Run only tests whose path contains this, and no lints.
    filter: Option<String>,
}

/// A tier is what its tests need; integration tests belong to it by the first word of their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Unit and property tests: no root, no kernel.
    Host,
    /// Tests of the real programs by BPF_PROG_RUN: tests/kernel_*.
    Kernel,
    /// Tests in network namespaces, with real clients, servers and firewalls: tests/net_*.
    Net,
    /// Real readers for all that is written: tests/readers_*.
    Readers,
}

impl Tier {
    fn of_test(name: &str) -> Self {
        match name.split('_').next() {
            Some("kernel") => Self::Kernel,
            Some("net") => Self::Net,
            Some("readers") => Self::Readers,
            _ => Self::Host,
        }
    }
}

impl Args {
    /// Whether all that these arguments select runs without root.
    pub fn is_unprivileged(&self) -> bool {
        self.tier == Some(Tier::Host)
    }

    fn selects_everything(&self) -> bool {
        self.tier.is_none() && self.filter.is_none()
    }
}

/// Runs the stages in order, each under a heading and with its time.
///
/// # Errors
/// At the first stage that fails, naming it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.selects_everything() {
        lint()?;
    }
    if !args.is_unprivileged() {
        let mut build = cargo("build");
        stage("release daemon", build.args(["--release", "--package", "capture-user"]))?;
    }
    for (title, mut command) in tests(args)? {
        stage(title, &mut command)?;
    }
    Ok(())
}

fn lint() -> anyhow::Result<()> {
    stage("format", cargo("fmt").args(["--all", "--check"]))?;
    let mut clippy = cargo("clippy");
    clippy.args(HOST).args(["--all-targets", "--", "--deny", "warnings"]);
    stage("clippy, host", &mut clippy)?;
    lint_ebpf()?;
    if setup::is_installed("cargo-deny") {
        stage(
            "licences, bans and sources",
            cargo("deny").args(["check", "licenses", "bans", "sources"]),
        )
    } else {
        println!("\n== licences, bans and sources: left out, cargo-deny is not installed");
        Ok(())
    }
}

/// Checks the eBPF crate for its own target, with the flags that aya-build builds it with.
fn lint_ebpf() -> anyhow::Result<()> {
    let toolchain = Toolchain::find().context("the compiler for eBPF has gone")?;
    let with_clippy = toolchain.has_clippy();
    let mut command = Command::new("rustup");
    command
        .args(["run", toolchain.name(), "cargo", if with_clippy { "clippy" } else { "check" }])
        .args(["--package", "capture-ebpf", "--target", "bpfel-unknown-none"])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(build::target_directory().join("ebpf-lint"))
        .current_dir(build::workspace())
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN");
    // -D of rustc itself reaches `cargo check` too; cargo caps lints in dependencies.
    let arch = std::env::consts::ARCH;
    command
        .env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{arch}\"\x1f-Dwarnings"));
    let title = if with_clippy {
        "clippy, eBPF"
    } else {
        "compiler's lints, eBPF (this nightly has no clippy)"
    };
    stage(title, &mut command)
}

/// The cargo commands that run the selected tests.
fn tests(args: &Args) -> anyhow::Result<Vec<(&'static str, Command)>> {
    let mut commands = Vec::new();
    let Some(tier) = args.tier else {
        let mut all = cargo("test");
        all.args(HOST).arg("--no-fail-fast").args(&args.filter);
        commands.push(("tests", all));
        return Ok(commands);
    };
    let chosen: Vec<(PathBuf, BTreeSet<String>)> = test_files()?
        .into_iter()
        .map(|(package, names)| (package, of_tier(names, tier)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    let mut command = cargo("test");
    command.arg("--no-fail-fast");
    if tier == Tier::Host {
        command.args(HOST).args(["--lib", "--bins"]);
    } else if chosen.is_empty() {
        bail!("no file in any tests directory begins with the name of tier {tier:?}");
    }
    for (package, names) in chosen {
        if tier != Tier::Host {
            command.arg("--package").arg(package.file_name().unwrap_or_default());
        }
        command.args(names.iter().flat_map(|name| ["--test", name]));
    }
    command.args(&args.filter);
    commands.push(("tests", command));
    if tier == Tier::Host {
        let mut documentation = cargo("test");
        documentation.args(HOST).arg("--doc").args(&args.filter);
        commands.push(("examples in the documentation", documentation));
    }
    Ok(commands)
}

fn of_tier(names: BTreeSet<String>, tier: Tier) -> BTreeSet<String> {
    names.into_iter().filter(|name| Tier::of_test(name) == tier).collect()
}

/// The integration tests of each package of the workspace.
fn test_files() -> anyhow::Result<BTreeMap<PathBuf, BTreeSet<String>>> {
    let mut files = BTreeMap::new();
    for package in ["capture-common", "capture-user", "xtask"] {
        let directory = build::workspace().join(package);
        files.insert(directory.clone(), names_in(&directory.join("tests"))?);
    }
    Ok(files)
}

/// Targets that cargo finds in a tests directory: files, and directories with a `main.rs`.
fn names_in(directory: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    if !directory.exists() {
        return Ok(names);
    }
    let entries = fs::read_dir(directory)
        .with_context(|| format!("can't list the tests in {}", directory.display()))?;
    for entry in entries {
        let path = entry.context("can't list the tests")?.path();
        let is_target =
            path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str())
            && is_target
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

fn cargo(action: &str) -> Command {
    let mut cargo = setup::clean_cargo();
    cargo.arg(action).current_dir(build::workspace());
    cargo
}

fn stage(title: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("\n== {title}: {}", shown(command));
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{title}: {} does not start", shown(command)))?;
    println!("   {:.1} s", start.elapsed().as_secs_f64());
    if !status.success() {
        bail!("{title} failed ({status})");
    }
    Ok(())
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_belongs_to_the_tier_of_its_first_word() {
        assert_eq!(Tier::of_test("kernel_parse"), Tier::Kernel);
        assert_eq!(Tier::of_test("net_demo"), Tier::Net);
        assert_eq!(Tier::of_test("readers"), Tier::Readers);
        assert_eq!(Tier::of_test("network"), Tier::Host);
        assert_eq!(Tier::of_test("cli"), Tier::Host);
    }

    #[test]
    fn test_targets_are_files_and_directories_with_main() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join("net_a.rs"), "").expect("write");
        fs::write(path.join("notes.txt"), "").expect("write");
        for name in ["net_b", "support"] {
            fs::create_dir(path.join(name)).expect("mkdir");
        }
        fs::write(path.join("net_b/main.rs"), "").expect("write");
        fs::write(path.join("support/mod.rs"), "").expect("write");
        let names = names_in(path).expect("names");
        assert_eq!(Vec::from_iter(names), ["net_a", "net_b"]);
    }

    #[test]
    fn no_tests_directory_means_no_tests() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert!(names_in(&directory.path().join("tests")).expect("names").is_empty());
    }
}
