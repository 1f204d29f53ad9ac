//! What building, testing, showing and measuring captured need from the system, and how each
//! thing is recognised. Things are looked for by what they provide (a program, a header), not by
//! package, so that the check is the same on every distribution.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::Purpose;

/// How the presence of a need is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// A program on `PATH` or in one of the system's own program directories.
    Program(&'static str),
    /// A C header, as a path below an include directory.
    Header(&'static str),
    /// The kernel's `asm/types.h` where a compiler for the BPF target finds it, which does not
    /// search the host's multiarch directories.
    BpfAsmHeaders,
    /// libclang, which bindgen loads while it builds libxdp's bindings.
    LibClang,
}

/// Whom a need serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Native libraries: libxdp, libbpf and their bindings.
    Native,
    /// The lab of network namespaces, its hosts, and the readers that check its segments.
    Lab,
    /// The capture tools that captured is compared with.
    Rivals,
    /// What only tests use: senders, and checkers of what captured exports.
    Checkers,
}

/// One thing that must be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Debian's package that provides it.
    pub package: &'static str,
    pub probe: Probe,
    group: Group,
}

const fn program(group: Group, name: &'static str, package: &'static str) -> Need {
    Need { package, probe: Probe::Program(name), group }
}

const fn header(group: Group, path: &'static str, package: &'static str) -> Need {
    Need { package, probe: Probe::Header(path), group }
}

const NEEDS: &[Need] = &[
    program(Group::Native, "cc", "gcc"),
    program(Group::Native, "clang", "clang"),
    program(Group::Native, "llc", "llvm"),
    Need { package: "libclang-dev", probe: Probe::LibClang, group: Group::Native },
    Need { package: "gcc-multilib", probe: Probe::BpfAsmHeaders, group: Group::Native },
    program(Group::Native, "m4", "m4"),
    program(Group::Native, "make", "make"),
    program(Group::Native, "pkg-config", "pkg-config"),
    header(Group::Native, "stdlib.h", "libc6-dev"),
    header(Group::Native, "libelf.h", "libelf-dev"),
    header(Group::Native, "pcap/dlt.h", "libpcap-dev"),
    header(Group::Native, "zlib.h", "zlib1g-dev"),
    program(Group::Lab, "ip", "iproute2"),
    program(Group::Lab, "nft", "nftables"),
    program(Group::Lab, "curl", "curl"),
    program(Group::Lab, "python3", "python3"),
    program(Group::Lab, "tshark", "tshark"),
    program(Group::Lab, "capinfos", "wireshark-common"),
    program(Group::Lab, "tcpdump", "tcpdump"),
    program(Group::Rivals, "dumpcap", "wireshark-common"),
    program(Group::Rivals, "netsniff-ng", "netsniff-ng"),
    program(Group::Lab, "ethtool", "ethtool"),
    program(Group::Checkers, "bpftool", "bpftool"),
    program(Group::Checkers, "ping", "iputils-ping"),
    program(Group::Checkers, "prometheus", "prometheus"),
    program(Group::Checkers, "promtool", "prometheus"),
    program(Group::Checkers, "tcpreplay", "tcpreplay"),
];

impl Group {
    fn serves(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Build => self == Self::Native,
            Purpose::Demo => matches!(self, Self::Native | Self::Lab),
            Purpose::Bench => self != Self::Checkers,
            Purpose::Test => true,
        }
    }
}

impl Need {
    /// What is looked for, as a person would say it.
    pub fn name(&self) -> &'static str {
        match self.probe {
            Probe::Program(name) => name,
            Probe::Header(path) => path,
            Probe::BpfAsmHeaders => "asm/types.h for the BPF target",
            Probe::LibClang => "libclang",
        }
    }

    fn is_met(&self) -> bool {
        match self.probe {
            Probe::Program(name) => find_program(name).is_some(),
            Probe::Header(path) => header_directories().iter().any(|dir| dir.join(path).exists()),
            Probe::BpfAsmHeaders => Path::new("/usr/include/asm/types.h").exists(),
            Probe::LibClang => library_directories().iter().any(|dir| holds_libclang(dir)),
        }
    }
}

/// The needs of `purpose` that this system does not meet.
pub(super) fn unmet(purpose: Purpose) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| need.group.serves(purpose) && !need.is_met()).collect()
}

/// Finds a program on `PATH`, or in the system's directories that a root shell may not have there.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

fn header_directories() -> Vec<PathBuf> {
    let multiarch = format!("/usr/include/{}-linux-gnu", env::consts::ARCH);
    vec!["/usr/include".into(), multiarch.into(), "/usr/local/include".into()]
}

/// Where bindgen looks for libclang too.
fn library_directories() -> Vec<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let mut directories: Vec<PathBuf> =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib", &multiarch].map(PathBuf::from).to_vec();
    directories.extend(env::var_os("LIBCLANG_PATH").map(PathBuf::from));
    for entry in Path::new("/usr/lib").read_dir().into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("llvm") {
            directories.push(entry.path().join("lib"));
            directories.push(entry.path().join("lib64"));
        }
    }
    directories
}

fn holds_libclang(directory: &Path) -> bool {
    directory.read_dir().into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libclang.so")
            || name.strip_prefix("libclang-").is_some_and(|rest| {
                rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains(".so")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_includes_what_building_needs() {
        for purpose in [Purpose::Build, Purpose::Demo, Purpose::Bench, Purpose::Test] {
            assert!(
                NEEDS
                    .iter()
                    .filter(|need| need.group == Group::Native)
                    .all(|need| need.group.serves(purpose)),
                "{purpose:?}"
            );
        }
    }

    #[test]
    fn the_demo_installs_no_service() {
        assert!(
            NEEDS
                .iter()
                .filter(|need| need.group.serves(Purpose::Demo))
                .all(|need| need.package != "prometheus")
        );
    }

    #[test]
    fn a_program_is_found_by_name_only() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("captured-has-no-such-program"), None);
    }

    #[test]
    fn libclang_is_not_mistaken_for_its_cpp_sibling() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["libclang-cpp.so.14", "libclang.a", "libclangAST.so"] {
            std::fs::write(directory.path().join(name), "").expect("write");
        }
        assert!(!holds_libclang(directory.path()));
        std::fs::write(directory.path().join("libclang-14.so.1"), "").expect("write");
        assert!(holds_libclang(directory.path()));
    }
}
