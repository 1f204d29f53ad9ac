//! The list of what is missing, and the one message that says how to install it.

use std::{collections::BTreeSet, env, fmt, path::PathBuf};

use super::{
    Purpose, debian,
    ebpf::{self, Lack},
    needs::{self, Need},
};

/// All that a purpose lacks on this machine.
#[derive(Debug)]
pub(super) struct Missing {
    purpose: Purpose,
    needs: Vec<&'static Need>,
    ebpf: Vec<Lack>,
    components: Vec<&'static str>,
}

impl Missing {
    pub(super) fn find(purpose: Purpose) -> Self {
        Self {
            purpose,
            needs: needs::unmet(purpose),
            ebpf: ebpf::lacks(purpose),
            components: missing_components(purpose),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.needs.is_empty() && self.ebpf.is_empty() && self.components.is_empty()
    }

    /// rustup is what the user brings; nothing can be set up without it.
    pub(super) fn needs_rustup(&self) -> bool {
        self.lacks(Lack::Rustup)
    }

    pub(super) fn lacks(&self, lack: Lack) -> bool {
        self.ebpf.contains(&lack)
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &'static str> {
        self.components.iter().copied()
    }

    pub(super) fn debian_packages(&self, purpose: Purpose) -> BTreeSet<String> {
        let needs = self.needs.iter().map(|need| need.package);
        needs.chain(ebpf::debian_packages(&self.ebpf, purpose)).map(str::to_owned).collect()
    }

    fn names(&self) -> Vec<&'static str> {
        let needs = self.needs.iter().map(|need| need.name());
        let ebpf = self.ebpf.iter().map(|lack| lack.name());
        needs.chain(ebpf).chain(self.components()).collect()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.purpose.command();
        writeln!(f, "{command} lacks on this machine: {}", self.names().join(", "))?;
        if self.needs_rustup() {
            writeln!(f, "Install rustup first: https://rustup.rs")?;
        }
        if debian::is_supported() {
            writeln!(f, "As root, `{command}` without --no-install installs it. By hand:")?;
            self.by_hand_on_debian(f)?;
        } else {
            writeln!(f, "Only on Debian 12 it is installed by itself; install here:")?;
            self.by_hand_elsewhere(f)?;
        }
        for component in self.components() {
            write!(f, "\n  rustup component add {component}")?;
        }
        Ok(())
    }
}

impl Missing {
    fn by_hand_on_debian(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut packages = self.debian_packages(self.purpose);
        if self.lacks(Lack::Linker) {
            packages.insert("llvm-22-dev".to_owned());
        }
        if !packages.is_empty() {
            let packages: Vec<String> = packages.into_iter().collect();
            write!(f, "  apt-get install --no-install-recommends {}", packages.join(" "))?;
        }
        if self.lacks(Lack::Compiler) {
            write!(f, "\n  rustup toolchain link {} /usr", ebpf::LINKED_TOOLCHAIN)?;
        }
        if self.lacks(Lack::Linker) {
            f.write_str(
                "\n  LLVM_PREFIX=/usr/lib/llvm-22 cargo install --locked bpf-linker \
                 --version ^0.13 --no-default-features --features llvm-22",
            )?;
        }
        Ok(())
    }

    fn by_hand_elsewhere(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.needs.is_empty() {
            let packages: BTreeSet<&str> = self.needs.iter().map(|need| need.package).collect();
            let packages: Vec<&str> = packages.into_iter().collect();
            let list = packages.join(" ");
            write!(f, "  with the system's package manager (Debian's names): {list}")?;
        }
        if self.lacks(Lack::Compiler) {
            write!(f, "\n  rustup toolchain install nightly --component rust-src")?;
        }
        if self.lacks(Lack::Linker) {
            f.write_str(
                "\n  bpf-linker 0.13, built for the LLVM of that nightly (`rustc +nightly -vV`): \
                 `cargo install bpf-linker` or a release of github.com/aya-rs/bpf-linker",
            )?;
        }
        Ok(())
    }
}

/// rustfmt and clippy, which rustup's minimal profile leaves out and the tests want.
fn missing_components(purpose: Purpose) -> Vec<&'static str> {
    // Told by rustup's proxy; whoever runs without it brings a whole toolchain of their own.
    let (Some(home), Some(toolchain), Purpose::Test) =
        (env::var_os("RUSTUP_HOME"), env::var_os("RUSTUP_TOOLCHAIN"), purpose)
    else {
        return Vec::new();
    };
    let programs = PathBuf::from(home).join("toolchains").join(toolchain).join("bin");
    [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")]
        .into_iter()
        .filter(|(_, program)| !programs.join(program).exists())
        .map(|(component, _)| component)
        .collect()
}
