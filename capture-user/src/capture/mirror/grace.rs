//! Waiting for redirects that are under way.

use std::time::Duration;

use nix::errno::Errno;

/// `MEMBARRIER_CMD_GLOBAL` of `linux/membarrier.h`.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
/// Longer than the kernel processes packets at a stretch, for kernels without that command.
const INSTEAD: Duration = Duration::from_millis(50);

/// Returns when every XDP program that was running has ended and the frames that it redirected
/// lie in the rings. After a socket's slot in the map was emptied, nothing can come into its ring
/// from then on.
///
/// The kernel runs a burst of packets from the program to the flush of the rings within one RCU
/// read-side section, and the global memory barrier is an RCU grace period.
pub(super) fn wait_for_redirects() {
    // SAFETY: takes three integers and no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if Errno::result(result).is_err() {
        std::thread::sleep(INSTEAD);
    }
}
