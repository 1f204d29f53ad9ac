//! The capabilities that the task needs.

use std::{env, fmt, path::PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::resource::{Resource, getrlimit};

use super::{RequirementError, Task};

/// What the process lacks, and how to grant it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MissingCapabilities {
    /// What is missing, in the order in which it is needed.
    pub missing: Vec<Capability>,
    /// All that the task needs: granting replaces what was granted before.
    pub needed: Vec<Capability>,
    /// The binary to grant it to.
    pub binary: PathBuf,
}

impl fmt::Display for MissingCapabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = join(&self.missing, ", ");
        let needed = join(&self.needed, " ");
        let file = join(&self.needed, ",").to_lowercase();
        write!(
            formatter,
            "not permitted: {missing} missing; run captured as root, or grant what it needs: in a \
             systemd unit `AmbientCapabilities={needed}`, or for the binary `setcap {file}+ep {}`",
            self.binary.display()
        )
    }
}

fn join(capabilities: &[Capability], separator: &str) -> String {
    capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

/// What the task needs and the effective set lacks; `None` if nothing. `memory_lock_limit` is
/// RLIMIT_MEMLOCK in bytes.
#[must_use]
pub fn missing_capabilities(
    task: Task,
    effective: &CapsHashSet,
    memory_lock_limit: u64,
) -> Option<MissingCapabilities> {
    use Capability::{
        CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN,
    };

    let mut needed = vec![CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON];
    if task.mirror {
        needed.push(CAP_NET_RAW);
        // The kernel counts a UMEM's pages against the limit unless it has this capability.
        if task.umem_bytes > memory_lock_limit {
            needed.push(CAP_IPC_LOCK);
        }
    }
    let held = |capability: &Capability| {
        effective.contains(capability)
            || matches!(capability, CAP_BPF | CAP_PERFMON) && effective.contains(&CAP_SYS_ADMIN)
    };
    let missing: Vec<Capability> =
        needed.iter().copied().filter(|capability| !held(capability)).collect();
    if missing.is_empty() {
        return None;
    }
    let binary = env::current_exe().unwrap_or_else(|_| PathBuf::from("captured"));
    Some(MissingCapabilities { missing, needed, binary })
}

/// The effective set of the calling thread.
pub(super) fn effective() -> Result<CapsHashSet, RequirementError> {
    caps::read(None, CapSet::Effective).map_err(|error| RequirementError::Unknown {
        what: "the capabilities of the process",
        cause: error.to_string(),
    })
}

/// RLIMIT_MEMLOCK, in bytes.
pub(super) fn memory_lock_limit() -> Result<u64, RequirementError> {
    getrlimit(Resource::RLIMIT_MEMLOCK).map(|(soft, _)| soft).map_err(|error| {
        RequirementError::Unknown { what: "the limit on locked memory", cause: error.to_string() }
    })
}

#[cfg(test)]
mod tests {
    use Capability::{
        CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN,
    };

    use super::*;
    use crate::{
        host::{namespace, requirements::check},
        kernel::{AttachedInterface, EgressHook, Object, Settings},
    };

    const TAP: Task = Task { mirror: false, umem_bytes: 0 };
    const MIRROR: Task = Task { mirror: true, umem_bytes: 32 << 20 };

    fn missing(task: Task, held: &[Capability], limit: u64) -> Vec<Capability> {
        missing_capabilities(task, &held.iter().copied().collect(), limit)
            .map_or_else(Vec::new, |missing| missing.missing)
    }

    #[test]
    fn each_mode_needs_what_it_uses() {
        assert_eq!(missing(TAP, &[], 0), [CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]);
        assert_eq!(missing(TAP, &[CAP_SYS_ADMIN], 0), [CAP_NET_ADMIN]);
        assert_eq!(missing(TAP, &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON], 0), []);
        let three = [CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON];
        assert_eq!(missing(MIRROR, &three, 8 << 20), [CAP_NET_RAW, CAP_IPC_LOCK]);
        assert_eq!(missing(MIRROR, &three, 32 << 20), [CAP_NET_RAW]);
        assert_eq!(missing(MIRROR, &three, u64::MAX), [CAP_NET_RAW]);
    }

    #[test]
    fn message_tells_how_to_grant() {
        let error = MissingCapabilities {
            missing: vec![CAP_PERFMON],
            needed: vec![CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON],
            binary: PathBuf::from("/usr/bin/captured"),
        };
        assert_eq!(
            error.to_string(),
            "not permitted: CAP_PERFMON missing; run captured as root, or grant what it needs: in \
             a systemd unit `AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON`, or for the \
             binary `setcap cap_bpf,cap_net_admin,cap_perfmon+ep /usr/bin/captured`"
        );
    }

    /// Runs something in a thread with only these capabilities: they are a thread's own.
    fn with_only<T: Send>(held: &[Capability], test: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let held: CapsHashSet = held.iter().copied().collect();
                caps::set(None, CapSet::Effective, &held).expect("this test needs root");
                test()
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn missing_ones_of_the_thread_are_named() {
        let error = with_only(&[CAP_NET_ADMIN], || check(TAP)).unwrap_err();
        let RequirementError::Capabilities(error) = error else { panic!("{error}") };
        assert_eq!(error.missing, [CAP_BPF, CAP_PERFMON]);
        assert!(error.to_string().starts_with("not permitted: CAP_BPF, CAP_PERFMON missing;"));
        with_only(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON], || check(TAP)).unwrap();
    }

    #[test]
    fn kernel_agrees_on_net_raw() {
        let open = || {
            // SAFETY: socket() takes no pointers.
            let descriptor = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0) };
            let result = std::io::Error::last_os_error();
            if descriptor < 0 {
                return Err(result.raw_os_error());
            }
            // SAFETY: the descriptor is ours and nobody else knows it.
            unsafe { libc::close(descriptor) };
            Ok(())
        };
        let all_but = [CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_IPC_LOCK];
        assert_eq!(with_only(&all_but, open), Err(Some(libc::EPERM)));
        assert_eq!(with_only(&[CAP_NET_RAW], open), Ok(()));
    }

    /// Loads and attaches in a namespace of its own with only these capabilities.
    fn capture_with(held: &'static [Capability]) {
        namespace::run(move || async move {
            namespace::ip("link add v0 type veth peer name v1");
            let ifindex = namespace::ifindex("v0");
            caps::set(None, CapSet::Effective, &held.iter().copied().collect()).unwrap();
            let settings = Settings { flows: 1024, ring_bytes: 1 << 16 };
            let (mut object, _tables) = Object::load(&settings).expect("load");
            for hook in [EgressHook::Tcx, EgressHook::Clsact] {
                AttachedInterface::attach(&mut object, "v0", ifindex, hook).expect("attach");
            }
        });
    }

    #[test]
    fn what_is_asked_for_is_enough_to_load_and_attach() {
        capture_with(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]);
    }

    #[test]
    #[should_panic = "load"]
    fn perfmon_is_really_needed() {
        capture_with(&[CAP_BPF, CAP_NET_ADMIN]);
    }
}
