//! Everything one scrape shows, read at once.

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
}

impl Scrape {
    pub(super) fn take(source: &dyn SnapshotSource) -> Result<Self, MetricsError> {
        // The ledger before the counters of the programs, since a frame is delivered before it is
        // written: so `delivered` is never behind the sum of what became of the frames.
        let ledger = source.ledger();
        let lines = (0..MAX_INTERFACES as u8)
            .map(|slot| {
                [Direction::Ingress, Direction::Egress]
                    .map(|direction| LedgerLine::read(ledger, slot, direction))
            })
            .collect();
        Ok(Self {
            lines,
            interfaces: source.interfaces().map_err(MetricsError::Interfaces)?,
            segments: source.segments(),
            flows: source.flows().map_err(MetricsError::Flows)?,
        })
    }

    /// The ledger's lines of an interface: ingress, egress.
    pub(super) fn lines(&self, interface: &InterfaceSnapshot) -> [LedgerLine; 2] {
        self.lines.get(usize::from(interface.slot)).copied().unwrap_or_default()
    }
}
