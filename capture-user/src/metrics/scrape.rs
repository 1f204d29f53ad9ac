//! Everything one scrape shows, read at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use capture_common::abi::{Direction, MAX_INTERFACES};

use super::MetricsError;
use crate::{
    ledger::{Ledger, Loss},
    snapshot::{InterfaceSnapshot, SegmentsSnapshot, SnapshotSource},
};

/// The user-space half of the ledger for one interface and direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LedgerLine {
    pub(super) written_frames: u64,
    pub(super) written_bytes: u64,
    pub(super) lost_frames: [u64; Loss::COUNT],
}

impl LedgerLine {
    fn read(ledger: &Ledger, slot: u8, direction: Direction) -> Self {
        let line = ledger.line(slot, direction);
        Self {
            written_frames: line.written_frames(),
            written_bytes: line.written_bytes(),
            lost_frames: Loss::ALL.map(|stage| line.lost_frames(stage)),
        }
    }
}

/// Everything one scrape shows.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) interfaces: Vec<InterfaceSnapshot>,
    lines: Vec<[LedgerLine; 2]>,
    pub(super) segments: SegmentsSnapshot,
    pub(super) flows: u64,
    pub(super) flows_limit: u64,
    pub(super) flows_evicted: u64,
}

impl Scrape {
    /// `evicted` is the most evictions that any scrape has seen; see [`Scrape::count_evicted`].
    pub(super) fn take(
        source: &dyn SnapshotSource,
        evicted: &AtomicU64,
    ) -> Result<Self, MetricsError> {
        // The ledger before the counters of the programs, since a frame is delivered before it is
        // written: so `delivered` is never behind the sum of what became of the frames.
        let ledger = source.ledger();
        let lines = (0..MAX_INTERFACES as u8)
            .map(|slot| {
                [Direction::Ingress, Direction::Egress]
                    .map(|direction| LedgerLine::read(ledger, slot, direction))
            })
            .collect();
        let interfaces = source.interfaces().map_err(MetricsError::Interfaces)?;
        // After the counters: see count_evicted().
        let flows = source.flows().map_err(MetricsError::Flows)?;
        let flows_limit = source.flows_limit().map_err(MetricsError::Flows)?;
        let flows_evicted = Self::count_evicted(&interfaces, flows, evicted);
        let segments = source.segments();
        Ok(Self { lines, interfaces, segments, flows, flows_limit, flows_evicted })
    }

    /// The kernel does not tell what its table forgets. Nothing else takes conversations out of it,
    /// so those that were created and are not there any more were evicted.
    ///
    /// The table changes while it is counted. What comes meanwhile, or is counted twice, only makes
    /// the difference too small, since the created ones were counted before; so the most that was
    /// ever found is right, and it never decreases.
    fn count_evicted(interfaces: &[InterfaceSnapshot], present: u64, most: &AtomicU64) -> u64 {
        let counters = interfaces.iter().flat_map(|interface| &interface.counters);
        let created = counters.fold(0_u64, |sum, counter| sum.wrapping_add(counter.flows_created));
        let gone = created.saturating_sub(present);
        most.fetch_max(gone, Relaxed).max(gone)
    }

    /// The ledger's lines of an interface: ingress, egress.
    pub(super) fn lines(&self, interface: &InterfaceSnapshot) -> [LedgerLine; 2] {
        self.lines.get(usize::from(interface.slot)).copied().unwrap_or_default()
    }
}
