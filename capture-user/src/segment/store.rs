//! The segment store of a running daemon.

use std::sync::Arc;

use super::{
    directory::{DirectoryLock, prepare},
    error::Error,
    publish::Publisher,
    recover::{RecoveryReport, recover},
    retain::StoreStatus,
    settings::{Limits, Live, Settings},
    slots::InterfaceDescription,
    writer::SegmentWriter,
};
use crate::ledger::Ledger;

/// The segment directory, taken by this process, with its publisher running.
///
/// Close (or drop) the writers first: dropping the store publishes what they have handed over,
/// ends the publisher and frees the directory.
pub struct Store {
    settings: Settings,
    live: Arc<Live>,
    status: Arc<StoreStatus>,
    recovery: RecoveryReport,
    // Dropped in this order: the directory is ours until the publisher has ended.
    publisher: Publisher,
    _lock: DirectoryLock,
}

impl Store {
    /// Takes the directory, recovers what a crash left behind and starts the publisher.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let lock = prepare(&settings.directory)?;
        let recovery = recover(&settings.directory)?;
        let live = Arc::new(Live::new(settings.limits()));
        let status = Arc::new(StoreStatus::default());
        let publisher = Publisher::start(&settings.directory, live.clone(), status.clone())?;
        Ok(Self { settings, live, status, recovery, publisher, _lock: lock })
    }

    /// A writer for the frames of a capture thread; see [`SegmentWriter::new`].
    #[must_use]
    pub fn writer(
        &self,
        stream: &str,
        interfaces: Vec<InterfaceDescription>,
        ledger: Arc<Ledger>,
    ) -> SegmentWriter {
        let (settings, live) = (self.settings.clone(), self.live.clone());
        SegmentWriter::new(stream, interfaces, settings, live, ledger, self.publisher.queue())
    }

    /// Puts new limits in force: on rotation within a writer's next tick, on retention within five
    /// seconds. Directory, format and snap length stay as they are.
    pub fn set_limits(&self, limits: Limits) {
        self.live.set_limits(limits);
    }

    /// The interface of a slot has another filter from now on. pcapng segments name it, so the
    /// writers begin new ones, whose filter it is, with their next frame. Frames of the old filter
    /// that were still on their way to a writer are in the new segment.
    pub fn set_filter(&self, slot: u8, filter: String) {
        self.live.set_filter(slot, filter);
    }

    /// The counters of the store, for the metrics.
    #[must_use]
    pub fn status(&self) -> Arc<StoreStatus> {
        self.status.clone()
    }

    /// What was found and done at the start.
    #[must_use]
    pub const fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }
}
