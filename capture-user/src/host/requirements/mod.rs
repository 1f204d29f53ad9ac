//! Whether this process on this kernel can do the job: asked before anything is loaded.

mod capabilities;
mod denied;
mod kernel;

use capture_common::abi::Mode;

pub use capabilities::{MissingCapabilities, missing_capabilities};
pub use denied::diagnose_eperm;
pub use kernel::{Feature, KernelVersion, missing_features, missing_optional_features};

/// What the daemon is asked to do, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Some interface is in mirror mode: AF_XDP sockets are needed.
    pub mirror: bool,
    /// Bytes of the largest UMEM: the kernel locks them in memory.
    pub umem_bytes: u64,
}

impl Task {
    /// The task of capturing in these modes with UMEMs of up to so many bytes.
    #[must_use]
    pub fn new(modes: impl IntoIterator<Item = Mode>, umem_bytes: u64) -> Self {
        Self { mirror: modes.into_iter().any(|mode| mode == Mode::Mirror), umem_bytes }
    }
}

/// Why the daemon cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum RequirementError {
    /// Not allowed.
    #[error(transparent)]
    Capabilities(#[from] MissingCapabilities),
    /// The kernel is too old.
    #[error(
        "this kernel ({release}) is too old for captured: {}; Linux {} or later is needed",
        kernel::list(missing),
        kernel::newest(missing)
    )]
    Kernel {
        /// As `uname -r` shows it.
        release: String,
        /// What it lacks.
        missing: Vec<Feature>,
    },
    /// The kernel's version or the capabilities could not be read.
    #[error("cannot find out {what}: {cause}")]
    Unknown {
        /// What was to be found out.
        what: &'static str,
        /// Why not.
        cause: String,
    },
}

/// Checks the kernel, then the capabilities of the calling thread. Changes nothing.
///
/// RLIMIT_MEMLOCK is not touched: since Linux 5.11, which is older than what is needed anyway,
/// BPF maps are charged to the memory cgroup and not to it.
///
/// # Errors
/// What is missing, with what to do about it.
pub fn check(task: Task) -> Result<(), RequirementError> {
    check_kernel()?;
    check_capabilities(task)
}

fn check_kernel() -> Result<(), RequirementError> {
    let release = kernel::release().map_err(|cause| RequirementError::Unknown {
        what: "the version of the kernel",
        cause: cause.to_string(),
    })?;
    // A version of a form nobody knows is no reason to refuse: loading will tell.
    let Some(version) = KernelVersion::parse(&release) else { return Ok(()) };
    let missing = missing_features(version);
    if missing.is_empty() || kernel::backported() {
        return Ok(());
    }
    Err(RequirementError::Kernel { release, missing })
}

fn check_capabilities(task: Task) -> Result<(), RequirementError> {
    let effective = capabilities::effective()?;
    match missing_capabilities(task, &effective, capabilities::memory_lock_limit()?) {
        Some(missing) => Err(missing.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_there_for_root() {
        let mirror = Task::new([Mode::Tap, Mode::Mirror], 64 << 20);
        assert!(mirror.mirror);
        check(mirror).unwrap();
        check(Task::new([Mode::Tap], 0)).unwrap();
    }

    #[test]
    fn old_kernel_is_named_with_what_it_lacks() {
        let version = KernelVersion::parse("5.15.0-91-generic").unwrap();
        let error = RequirementError::Kernel {
            release: "5.15.0-91-generic".to_owned(),
            missing: missing_features(version),
        };
        assert_eq!(
            error.to_string(),
            "this kernel (5.15.0-91-generic) is too old for captured: it lacks multi-buffer XDP \
             (came with Linux 5.18); Linux 5.18 or later is needed"
        );
    }
}
