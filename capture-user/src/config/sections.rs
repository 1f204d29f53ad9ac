//! The fields of the configuration, their documentation and their defaults.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use capture_common::abi::Mode;
use serde::{Deserialize, Serialize};

use super::{document::section, values, values::Size};
use crate::filter::{Expression, Filter, TroubleSet, Unmatched};

/// Most bytes of a frame that can be kept; the same limit as tcpdump's.
pub const MAX_SNAP_LENGTH: u32 = 262_144;

/// Where a daemon is told to change its filters, unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/captured.sock";

section! {
    /// The whole configuration.
    #[derive(Default)]
    pub struct Config {
        /// Where captured frames go, how they are cut into segments, and how long these are kept.
        pub segments: Segments,
        /// The HTTP server of /metrics, /healthz and /readyz.
        pub http: Http,
        /// The socket through which a running daemon is told to change its filters.
        pub control: Control,
        /// The table of TCP conversations, in the kernel.
        pub flows: Flows,
        /// Interfaces in mode "tap".
        pub tap: Tap,
        /// Interfaces in mode "mirror".
        pub mirror: Mirror,
        /// One such section for each interface.
        #[serde(rename = "interface")]
        pub interfaces: Vec<Interface>,
    }
}

section! {
    /// The section `[segments]`.
    pub struct Segments {
        /// Directory of the segments. Made if it does not exist.
        pub directory: PathBuf,
        /// "pcapng" (interface names, directions, comments, losses) or "pcap" (with nanoseconds).
        pub format: Format,
        /// A segment is closed and published before it grows past this size. 0: no limit.
        pub rotate_size: Size,
        /// A segment is closed and published when it is this old. "0s": no limit.
        #[serde(with = "values::duration")]
        pub rotate_after: Duration,
        /// The oldest segments are deleted when all together are larger than this. 0: no limit.
        pub retain_size: Size,
        /// The oldest segments are deleted when there are more than this many. 0: no limit.
        pub retain_count: u64,
        /// Most bytes of a frame that are kept, 1 to 262144.
        pub snap_length: u32,
    }
}

section! {
    /// The section `[http]`.
    pub struct Http {
        /// ADDRESS:PORT to listen on. There is no access control: leave it on the loopback
        /// interface, or on a network that only your monitoring can reach.
        #[serde(with = "values::listen")]
        pub listen: SocketAddr,
    }
}

section! {
    /// The section `[control]`.
    pub struct Control {
        /// Path of a Unix socket, of at most 107 bytes, in a directory that exists. Only the user
        /// that the daemon runs as, root, can connect to it.
        pub socket: PathBuf,
    }
}

section! {
    /// The section `[flows]`.
    pub struct Flows {
        /// Most conversations that are followed at the same time, 1024 to 16777216; when the table
        /// is full, the one that was silent for longest is forgotten.
        pub max: u32,
    }
}

section! {
    /// The section `[tap]`.
    pub struct Tap {
        /// Size of the ring buffer between kernel and daemon: a power of two, a page or more.
        pub ring_size: Size,
    }
}

section! {
    /// The section `[mirror]`.
    pub struct Mirror {
        /// Frame buffers of each receive queue, 2 KiB each (larger frames take several): a power of
        /// two, 64 to 1048576. 0: by the number of queues, so that the memory stays bounded.
        pub frames_per_queue: u32,
        /// What becomes of frames that the filter does not match: "pass" (to the host) or "drop".
        pub unmatched: Unmatched,
    }
}

section! {
    /// A section `[[interface]]`.
    pub struct Interface {
        /// Name of the interface, as in `ip link`.
        pub name: String,
        /// "tap": frames are copied, the traffic is untouched. "mirror": frames are taken away
        /// from the host, for SPAN and TAP ports and dedicated capture interfaces only.
        #[serde(with = "values::mode")]
        pub mode: Mode,
        /// false: frames are counted, but not captured.
        pub capture: bool,
        /// true: mirror mode even if the interface has an address, a route or a master, whose
        /// traffic it will cut.
        pub force: bool,
        /// What is captured: an expression of pcap-filter(7), such as
        /// "tcp port 80 and host 203.0.113.4". Empty: everything.
        pub filter: Expression,
        /// Only frames of conversations that have shown one of these, from then on:
        /// retransmission, syn-retransmission, out-of-order, duplicate-ack, lost-segment,
        /// zero-window, reset, icmp-error, or any, with commas between them. Empty: of all.
        pub trouble: TroubleSet,
    }
}

impl Interface {
    /// What is captured.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter { expression: self.filter.clone(), trouble: self.trouble }
    }
}

impl Mirror {
    /// Frame buffers of each receive queue; `None` if their number follows from that of the queues.
    #[must_use]
    pub fn frames(&self) -> Option<u32> {
        (self.frames_per_queue != 0).then_some(self.frames_per_queue)
    }
}

/// Format of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// pcapng: interface names, directions, comments, losses.
    Pcapng,
    /// Nanosecond pcap.
    Pcap,
}

impl Default for Segments {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/captured"),
            format: Format::Pcapng,
            rotate_size: Size(256 << 20),
            rotate_after: Duration::from_secs(300),
            retain_size: Size(10 << 30),
            retain_count: 0,
            snap_length: MAX_SNAP_LENGTH,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9411)) }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: PathBuf::from(DEFAULT_SOCKET) }
    }
}

impl Default for Flows {
    fn default() -> Self {
        Self { max: 65_536 }
    }
}

impl Default for Tap {
    fn default() -> Self {
        Self { ring_size: Size(16 << 20) }
    }
}

impl Default for Mirror {
    fn default() -> Self {
        Self { frames_per_queue: 0, unmatched: Unmatched::Pass }
    }
}

impl Default for Interface {
    /// Everything but the name, which has no default and is refused when empty.
    fn default() -> Self {
        Self {
            name: String::new(),
            mode: Mode::Tap,
            capture: true,
            force: false,
            filter: Expression::default(),
            trouble: TroubleSet::default(),
        }
    }
}
