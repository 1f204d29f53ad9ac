//! Why the kernel may have said EPERM to a process that seems to be allowed.

use std::fs;

use caps::CapsHashSet;

use super::{Task, capabilities, missing_capabilities};

/// What the cause can be seen from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Circumstances {
    /// What is missing, as a sentence.
    capabilities: Option<String>,
    /// Root of a user namespace only, for which the capabilities of the machine don't count.
    user_namespace: bool,
    /// A seccomp filter is in force on this thread.
    seccomp: bool,
    /// The kernel is locked down: `integrity` or `confidentiality`.
    lockdown: Option<String>,
    /// `kernel.unprivileged_bpf_disabled` is not 0.
    unprivileged_bpf_disabled: bool,
    /// Security modules that can refuse.
    modules: Vec<String>,
}

/// The most probable cause of an EPERM from loading or attaching programs, as a sentence. To be
/// called from the thread that got it.
#[must_use]
pub fn diagnose_eperm(task: Task) -> String {
    diagnose(&circumstances(task))
}

fn diagnose(seen: &Circumstances) -> String {
    if let Some(missing) = &seen.capabilities {
        let also = if seen.unprivileged_bpf_disabled {
            " (kernel.unprivileged_bpf_disabled is set, but it would not be enough to unset it)"
        } else {
            ""
        };
        return format!("{missing}{also}");
    }
    if seen.user_namespace {
        return "captured runs in a user namespace (a rootless container?), where its \
                capabilities don't count for BPF; run it in the initial user namespace"
            .to_owned();
    }
    if seen.seccomp {
        return "a seccomp filter is in force, which probably blocks bpf(2) (the default of \
                container runtimes); allow bpf in the seccomp profile, or run the container \
                with `--security-opt seccomp=unconfined` or the unit without SystemCallFilter="
            .to_owned();
    }
    if let Some(level) = &seen.lockdown {
        return format!(
            "the kernel is locked down ({level}, see /sys/kernel/security/lockdown), which some \
             distributions extend to BPF; disable Secure Boot or boot with lockdown=none"
        );
    }
    if !seen.modules.is_empty() {
        return format!(
            "all capabilities are there, so a security module probably refuses ({}); look for a \
             denial in the kernel log or audit log",
            seen.modules.join(", ")
        );
    }
    "all capabilities are there and nothing is seen that would refuse; the kernel log may say more"
        .to_owned()
}

fn circumstances(task: Task) -> Circumstances {
    // What cannot be read is not seen: this is advice on top of the error itself.
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let effective = capabilities::effective().unwrap_or_else(|_| CapsHashSet::new());
    let limit = capabilities::memory_lock_limit().unwrap_or(u64::MAX);
    let capabilities = missing_capabilities(task, &effective, limit);
    let unprivileged = read("/proc/sys/kernel/unprivileged_bpf_disabled");
    Circumstances {
        capabilities: capabilities.map(|missing| missing.to_string()),
        user_namespace: is_child_user_namespace(&read("/proc/thread-self/uid_map")),
        seccomp: has_seccomp_filter(&read("/proc/thread-self/status")),
        lockdown: lockdown(&read("/sys/kernel/security/lockdown")),
        unprivileged_bpf_disabled: !matches!(unprivileged.trim(), "0" | ""),
        modules: refusing_modules(&read("/sys/kernel/security/lsm")),
    }
}

/// The initial user namespace maps all 2³² − 1 ids to themselves.
fn is_child_user_namespace(uid_map: &str) -> bool {
    let fields: Vec<&str> = uid_map.split_whitespace().collect();
    !fields.is_empty() && fields != ["0", "0", "4294967295"]
}

/// Mode 2 of `Seccomp:` in proc_pid_status(5).
fn has_seccomp_filter(status: &str) -> bool {
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2")
}

/// The level in brackets, unless it is `none`.
fn lockdown(levels: &str) -> Option<String> {
    let level = levels.split_once('[')?.1.split_once(']')?.0;
    (level != "none").then(|| level.to_owned())
}

fn refusing_modules(modules: &str) -> Vec<String> {
    modules
        .trim()
        .split(',')
        .filter(|module| matches!(*module, "selinux" | "apparmor" | "smack" | "tomoyo" | "bpf"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use caps::Capability;

    use super::*;

    #[test]
    fn first_cause_that_fits_is_named() {
        let mut seen = Circumstances {
            capabilities: Some("CAP_BPF missing".to_owned()),
            user_namespace: true,
            seccomp: true,
            lockdown: Some("integrity".to_owned()),
            unprivileged_bpf_disabled: true,
            modules: vec!["selinux".to_owned()],
        };
        assert!(diagnose(&seen).starts_with("CAP_BPF missing (kernel.unprivileged_bpf_disabled"));
        seen.unprivileged_bpf_disabled = false;
        assert_eq!(diagnose(&seen), "CAP_BPF missing");
        seen.capabilities = None;
        assert!(diagnose(&seen).contains("user namespace"));
        seen.user_namespace = false;
        assert!(diagnose(&seen).contains("seccomp"));
        seen.seccomp = false;
        assert!(diagnose(&seen).contains("locked down (integrity,"));
        seen.lockdown = None;
        assert!(diagnose(&seen).contains("refuses (selinux)"));
        seen.modules.clear();
        assert!(diagnose(&seen).contains("nothing is seen"));
    }

    #[test]
    fn files_of_the_kernel_are_understood() {
        assert!(!is_child_user_namespace("         0          0 4294967295\n"));
        assert!(is_child_user_namespace("         0       1000          1\n"));
        assert!(has_seccomp_filter("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!has_seccomp_filter("Seccomp:\t0\nSeccomp_filters:\t2\n"));
        assert_eq!(lockdown("none [integrity] confidentiality\n"), Some("integrity".to_owned()));
        assert_eq!(lockdown("[none] integrity confidentiality\n"), None);
        assert_eq!(lockdown(""), None);
        assert_eq!(refusing_modules("capability,yama,apparmor\n"), ["apparmor"]);
        assert_eq!(refusing_modules(""), [""; 0]);
    }

    #[test]
    fn seccomp_filter_that_blocks_bpf_is_found() {
        let thread = std::thread::spawn(|| {
            block_bpf();
            let map = aya::sys::is_map_supported(aya::maps::MapType::Array);
            (map.is_err(), diagnose_eperm(Task::default()))
        });
        let (blocked, cause) = thread.join().unwrap();
        assert!(blocked, "the filter of this test does not block");
        assert!(cause.contains("seccomp"), "{cause}");
    }

    /// Lets bpf(2) fail with EPERM in this thread, as container runtimes do.
    fn block_bpf() {
        let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let mut program = [
            // The number of the system call is the first word of seccomp_data.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_bpf as u32),
            statement(
                libc::BPF_RET | libc::BPF_K,
                0,
                0,
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            ),
            statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the filter and its program live until the call returns; the kernel copies them.
        let result = unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
        };
        assert_eq!(result, 0, "seccomp: {}", std::io::Error::last_os_error());
    }

    #[test]
    fn missing_capability_is_the_first_suspect() {
        let thread = std::thread::spawn(|| {
            for capability in [Capability::CAP_BPF, Capability::CAP_SYS_ADMIN] {
                caps::drop(None, caps::CapSet::Effective, capability).unwrap();
            }
            diagnose_eperm(Task::default())
        });
        let cause = thread.join().unwrap();
        assert!(cause.starts_with("not permitted: CAP_BPF missing;"), "{cause}");
    }
}
