//! Builds the eBPF programs into `OUT_DIR`, where `kernel::object` includes them from.

use anyhow::Context as _;
use aya_build::{Package, Toolchain};

/// The toolchain that `cargo xtask test|demo` sets up where rustup has no nightly with `rust-src`
/// (see `docs/development.md`).
const LINKED_TOOLCHAIN: &str = "capture-ebpf";

fn main() -> anyhow::Result<()> {
    let ebpf = concat!(env!("CARGO_MANIFEST_DIR"), "/../capture-ebpf");
    let common = concat!(env!("CARGO_MANIFEST_DIR"), "/../capture-common");
    println!("cargo:rerun-if-changed={common}/src");
    println!("cargo:rerun-if-env-changed=RUSTUP_HOME");
    let toolchain = if linked_toolchain_exists() {
        // Debian's compiler is a stable one; building core for the BPF target is unstable.
        // SAFETY: build scripts are single-threaded here; nothing reads the environment meanwhile.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
        Toolchain::Custom(LINKED_TOOLCHAIN)
    } else {
        Toolchain::default()
    };
    let package = Package { name: "capture-ebpf", root_dir: ebpf, ..Default::default() };
    aya_build::build_ebpf([package], toolchain).context(
        "the eBPF programs were not built; `cargo xtask test --no-install` says what is missing",
    )
}

fn linked_toolchain_exists() -> bool {
    std::process::Command::new("rustup")
        .args(["run", LINKED_TOOLCHAIN, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
