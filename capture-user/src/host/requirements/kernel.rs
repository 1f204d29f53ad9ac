//! What a kernel has, by its version.

use std::{cmp::Ordering, fmt, fs, io};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported},
};

/// Major and minor number of a kernel: features come with these, not with stable updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The 6 of 6.18.44.
    pub major: u32,
    /// The 18 of 6.18.44.
    pub minor: u32,
}

impl KernelVersion {
    /// From the release that `uname -r` shows, such as `6.1.0-28-amd64`. `None` if it does not
    /// begin with two numbers.
    #[must_use]
    pub fn parse(release: &str) -> Option<Self> {
        let mut parts = release.trim().splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?;
        let digits = minor.find(|character: char| !character.is_ascii_digit());
        let minor = minor[..digits.unwrap_or(minor.len())].parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Something that came into the kernel with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// The first version that has it.
    pub since: KernelVersion,
    /// What happens without it; `None` if nothing works without it.
    pub fallback: Option<&'static str>,
}

const fn feature(
    name: &'static str,
    (major, minor): (u32, u32),
    fallback: Option<&'static str>,
) -> Feature {
    Feature { name, since: KernelVersion { major, minor }, fallback }
}

/// In the order of their versions. Multi-buffer XDP stands for the flag `xdp.frags` and the
/// helpers `bpf_xdp_load_bytes` and `bpf_xdp_get_buff_len`, which came together.
const FEATURES: [Feature; 5] = [
    feature("BPF ring buffers", (5, 8), None),
    feature("bpf_link for XDP", (5, 9), None),
    feature("multi-buffer XDP", (5, 18), None),
    feature(
        "tcx",
        (6, 6),
        Some("egress is seen by a clsact filter, which outlives a daemon that is killed"),
    ),
    feature(
        "multi-buffer AF_XDP",
        (6, 6),
        Some("mirror mode loses frames that do not fit one buffer"),
    ),
];

/// What captured cannot do without and a kernel of this version lacks. Distributions bring
/// features to older versions: ask [`check`](super::check) about the running kernel.
#[must_use]
pub fn missing_features(version: KernelVersion) -> Vec<Feature> {
    lacking(version).filter(|feature| feature.fallback.is_none()).collect()
}

/// What captured can do without and a kernel of this version lacks.
#[must_use]
pub fn missing_optional_features(version: KernelVersion) -> Vec<Feature> {
    lacking(version).filter(|feature| feature.fallback.is_some()).collect()
}

fn lacking(version: KernelVersion) -> impl Iterator<Item = Feature> {
    FEATURES.into_iter().filter(move |feature| version.cmp(&feature.since) == Ordering::Less)
}

/// The release of the running kernel.
pub(super) fn release() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

/// Does the running kernel have the newest of the features that are needed, whatever its version?
/// Enterprise kernels do. Loads a tiny program and creates a map, so it says no without the
/// capabilities for that.
pub(super) fn backported() -> bool {
    let helper = BpfHelper::BPF_FUNC_xdp_load_bytes;
    is_helper_supported(ProgramType::Xdp, helper).unwrap_or(false)
        && is_map_supported(MapType::RingBuf).unwrap_or(false)
}

/// For people: `it lacks A (came with Linux 5.8) and B (came with Linux 5.18)`.
pub(super) fn list(missing: &[Feature]) -> String {
    let features: Vec<String> = missing
        .iter()
        .map(|feature| format!("{} (came with Linux {})", feature.name, feature.since))
        .collect();
    format!("it lacks {}", features.join(" and "))
}

/// The version that has all of these.
pub(super) fn newest(missing: &[Feature]) -> String {
    missing.iter().map(|feature| feature.since).max().map_or_else(String::new, |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(release: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        let version = KernelVersion::parse(release).unwrap();
        let names = |features: Vec<Feature>| features.iter().map(|f| f.name).collect();
        (names(missing_features(version)), names(missing_optional_features(version)))
    }

    #[test]
    fn features_by_version() {
        let optional = vec!["tcx", "multi-buffer AF_XDP"];
        let frags = "multi-buffer XDP";
        let link = "bpf_link for XDP";
        for (release, needed, wanted) in [
            ("4.19.0-27-amd64", vec!["BPF ring buffers", link, frags], optional.clone()),
            ("5.8.0", vec![link, frags], optional.clone()),
            ("5.10.0-28-amd64", vec![frags], optional.clone()),
            ("5.18.0", vec![], optional.clone()),
            ("6.1.0", vec![], optional.clone()),
            ("6.5.13-rt", vec![], optional),
            ("6.6-rc1", vec![], vec![]),
            ("6.18.44-x", vec![], vec![]),
            ("10.0.1", vec![], vec![]),
        ] {
            assert_eq!(names(release), (needed, wanted), "{release}");
        }
    }

    #[test]
    fn versions_of_all_forms() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse("6.6+"), version(6, 6));
        assert_eq!(KernelVersion::parse("5.14.0-427.el9.x86_64\n"), version(5, 14));
        assert_eq!(KernelVersion::parse("6.10.0"), version(6, 10));
        for strange in ["", "6", "six.one", "6.", "6.x", ".6", "-1.5", "99999999999.1"] {
            assert_eq!(KernelVersion::parse(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn running_kernel_is_asked_itself() {
        let version = KernelVersion::parse(&release().unwrap()).unwrap();
        assert_eq!(backported(), missing_features(version).is_empty());
    }
}
