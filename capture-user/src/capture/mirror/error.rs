//! Why a queue could not be opened.

use std::io;

use capture_common::abi::MAX_QUEUES;
use thiserror::Error;

/// Why the receive side of a queue could not be set up.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// The number of the queue is too high for the socket map.
    #[error("queue {0}: at most {max} receive queues can be mirrored", max = MAX_QUEUES)]
    Queue(u32),
    /// The number of buffers is not a power of two.
    #[error("{0} buffers per queue: must be a power of two from 64 to 1048576")]
    Frames(u32),
    /// The size of a buffer is not a power of two, or the kernel would refuse it.
    #[error("{0} bytes per buffer: must be 2048 or 4096")]
    FrameSize(u32),
    /// The interface has gone, or another one has taken its name.
    #[error("interface {interface} is no longer the one with index {ifindex}")]
    InterfaceChanged {
        /// Name of the interface.
        interface: String,
        /// The index it had.
        ifindex: u32,
    },
    /// The buffers could not be made or registered.
    #[error(
        "{interface} queue {queue}: cannot register {bytes} bytes of packet buffers: {source}{hint}"
    )]
    Buffers {
        /// Name of the interface.
        interface: String,
        /// Number of the receive queue.
        queue: u32,
        /// Size of the buffers together.
        bytes: u64,
        /// What the kernel said.
        source: io::Error,
        /// What to do about it; empty if that is not known.
        hint: &'static str,
    },
    /// The socket could not be bound to the queue.
    #[error("{interface} queue {queue}: cannot bind an AF_XDP socket: {source}{hint}")]
    Bind {
        /// Name of the interface.
        interface: String,
        /// Number of the receive queue.
        queue: u32,
        /// What the kernel said.
        source: io::Error,
        /// What to do about it; empty if that is not known.
        hint: &'static str,
    },
    /// The socket could not be asked or filled after it was bound.
    #[error("{interface} queue {queue}: {what}: {source}")]
    Socket {
        /// Name of the interface.
        interface: String,
        /// Number of the receive queue.
        queue: u32,
        /// What failed.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What to do when buffers cannot be registered.
pub(super) fn buffers_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => " (needs CAP_NET_RAW)",
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            " (lower the number of buffers, or lift the limit on locked memory: CAP_IPC_LOCK or \
             `ulimit -l`)"
        }
        Some(libc::EAFNOSUPPORT) => " (the kernel lacks AF_XDP: CONFIG_XDP_SOCKETS)",
        _ => "",
    }
}

/// What to do when a socket cannot be bound.
pub(super) fn bind_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EBUSY) => " (another program has an AF_XDP socket on this queue)",
        Some(libc::EINVAL) => " (has the interface a queue of this number? see `ethtool -l`)",
        Some(libc::EPERM) => " (needs CAP_NET_RAW)",
        _ => "",
    }
}
