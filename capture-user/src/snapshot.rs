//! What the metrics show, at one moment.

use capture_common::abi::{Counters, Mode};

use crate::{
    filter::Filter,
    flows::{FlowList, FlowQuery},
    ledger::Ledger,
};

/// How a program is attached; the value of the label `attach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// XDP in the driver.
    Native,
    /// XDP in the network stack, after the socket buffer was made: slower.
    Generic,
    /// The interface is gone; the daemon waits for it to come back.
    Detached,
}

impl Attach {
    /// The value of the Prometheus label `attach`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Detached => "none",
        }
    }
}

/// One interface, as it is now.
#[derive(Clone, Debug)]
pub struct InterfaceSnapshot {
    /// Name as configured.
    pub name: String,
    /// Slot: index into the ledger.
    pub slot: u8,
    /// Tap or mirror.
    pub mode: Mode,
    /// How the ingress program is attached.
    pub attach: Attach,
    /// Mirror mode: `Some(true)` if the driver copies frames into the UMEM, `Some(false)` for zero
    /// copy. `None` in tap mode.
    pub copy: Option<bool>,
    /// The filter in force.
    pub filter: Filter,
    /// Counters of the kernel programs, summed over all CPUs: ingress, egress.
    pub counters: [Counters; 2],
}

/// Where snapshots come from: the running daemon, or a fixture of a test.
pub trait SnapshotSource: Send + Sync + 'static {
    /// All configured interfaces; those that are gone keep their counters.
    ///
    /// # Errors
    /// A map could not be read; the text says which and why.
    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String>;

    /// Most entries that the flow table holds.
    ///
    /// # Errors
    /// The kernel did not tell; the text says why.
    fn flows_limit(&self) -> Result<u64, String>;

    /// Entries in the flow table.
    ///
    /// # Errors
    /// The map could not be read; the text says why.
    fn flows(&self) -> Result<u64, String>;

    /// The conversations that are asked for, with what went wrong in them. Takes a system call for
    /// thousands of entries; nothing else waits for it.
    ///
    /// # Errors
    /// A map could not be read; the text says which and why.
    fn flow_records(&self, query: &FlowQuery) -> Result<FlowList, String>;

    /// The user-space half of the ledger.
    fn ledger(&self) -> &Ledger;

    /// Segments on disk.
    fn segments(&self) -> SegmentsSnapshot;

    /// `Ok` when every interface that exists is attached and the segments can be written;
    /// otherwise what is not, for `/readyz`.
    ///
    /// # Errors
    /// The text says what is not ready.
    fn ready(&self) -> Result<(), String>;
}

/// The segment directory, as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentsSnapshot {
    /// Published segments.
    pub count: u64,
    /// Bytes of the published segments.
    pub bytes: u64,
    /// Segments deleted by retention because of the total size.
    pub deleted_by_bytes: u64,
    /// Segments deleted by retention because of their count.
    pub deleted_by_count: u64,
    /// When the oldest frame still held was captured, in nanoseconds since 1970-01-01 UTC; `None`
    /// when no segment is held.
    pub oldest_frame: Option<u64>,
}
