//! Builds the eBPF programs into `OUT_DIR`, where `kernel::object` includes them from.

use std::process::Command;

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain};

/// The toolchain that the set-up of `cargo xtask` links into rustup on Debian 12
/// (see `docs/development.md`).
const LINKED_TOOLCHAIN: &str = "capture-ebpf";
const NIGHTLY: &str = "nightly";

const HOW: &str = "`cargo xtask setup` installs what the build needs on Debian 12, and says \
                   what to install elsewhere";

fn main() -> anyhow::Result<()> {
    let ebpf = concat!(env!("CARGO_MANIFEST_DIR"), "/../capture-ebpf");
    let common = concat!(env!("CARGO_MANIFEST_DIR"), "/../capture-common");
    println!("cargo:rerun-if-changed={common}/src");
    println!("cargo:rerun-if-env-changed=RUSTUP_HOME");
    let toolchain = toolchain()?;
    require_linker()?;
    let package = Package { name: "capture-ebpf", root_dir: ebpf, ..Default::default() };
    aya_build::build_ebpf([package], toolchain)
        .context("the eBPF programs of capture-ebpf were not built; the warnings above say why")
}

/// The same choice as that of `xtask::setup`.
fn toolchain() -> anyhow::Result<Toolchain<'static>> {
    if holds_core(LINKED_TOOLCHAIN) {
        // Debian's compiler is a stable one; building core for the BPF target is unstable.
        // SAFETY: build scripts are single-threaded here; nothing reads the environment meanwhile.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
        Ok(Toolchain::Custom(LINKED_TOOLCHAIN))
    } else if holds_core(NIGHTLY) {
        Ok(Toolchain::Nightly)
    } else {
        bail!(
            "no compiler for the eBPF programs: rustup knows neither a toolchain \
             {LINKED_TOOLCHAIN} nor a nightly with rust-src. {HOW}"
        );
    }
}

/// Whether rustup has a toolchain of this name with the source of `core`, from which `core` is
/// built for the BPF target.
fn holds_core(toolchain: &str) -> bool {
    Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .env_remove("RUSTC")
        .output()
        .is_ok_and(|output| {
            let sysroot = String::from_utf8_lossy(&output.stdout);
            let core = "lib/rustlib/src/rust/library/core/Cargo.toml";
            output.status.success() && std::path::Path::new(sysroot.trim()).join(core).exists()
        })
}

fn require_linker() -> anyhow::Result<()> {
    Command::new("bpf-linker")
        .arg("--version")
        .output()
        .with_context(|| format!("bpf-linker can't be run. {HOW}"))?;
    Ok(())
}
