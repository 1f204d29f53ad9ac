//! What the control loop and the HTTP server both look at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use capture_common::abi::{Direction, KernelLoss, Mode};

use crate::{
    capture::clock::Clock,
    filter::Filter,
    flows::{self, FlowList, FlowQuery, TimeBase},
    kernel::Tables,
    ledger::{Ledger, Loss},
    segment::StoreStatus,
    snapshot::{Attach, InterfaceSnapshot, SegmentsSnapshot, SnapshotSource},
};

/// An interface as the metrics show it.
#[derive(Clone, Debug)]
pub struct InterfaceState {
    /// Name as configured.
    pub name: String,
    /// Its slot.
    pub slot: u8,
    /// Tap or mirror.
    pub mode: Mode,
    /// How the ingress program is attached now.
    pub attach: Attach,
    /// Mirror mode: does the driver copy?
    pub copy: Option<bool>,
    /// The filter in force.
    pub filter: Filter,
    /// Why it is not attached although it should be; empty while it is, or while it does not exist.
    pub problem: String,
}

/// Maps, ledger and states.
pub struct Shared {
    tables: Mutex<Tables>,
    interfaces: Mutex<Vec<InterfaceState>>,
    status: Arc<StoreStatus>,
    clock: Arc<Clock>,
    /// The user-space half of the ledger.
    pub ledger: Arc<Ledger>,
}

impl Shared {
    /// Of the loaded programs and the open store.
    pub fn new(
        tables: Tables,
        interfaces: Vec<InterfaceState>,
        status: Arc<StoreStatus>,
        clock: Arc<Clock>,
        ledger: Arc<Ledger>,
    ) -> Self {
        let (tables, interfaces) = (Mutex::new(tables), Mutex::new(interfaces));
        Self { tables, interfaces, status, clock, ledger }
    }

    /// The maps. Held for one operation at a time; a panic elsewhere does not make them unusable.
    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of an interface.
    pub fn update(&self, slot: u8, change: impl FnOnce(&mut InterfaceState)) {
        let mut interfaces = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = interfaces.iter_mut().find(|state| state.slot == slot) {
            change(state);
        }
    }

    fn states(&self) -> Vec<InterfaceState> {
        self.interfaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The end of the ledger, for the log.
    pub fn log_totals(&self) {
        let Ok(interfaces) = self.interfaces() else { return };
        for interface in interfaces {
            for direction in Direction::ALL {
                let counters = &interface.counters[direction as usize];
                let line = self.ledger.line(interface.slot, direction);
                let lost: u64 = KernelLoss::ALL
                    .iter()
                    .map(|stage| counters.lost_frames[*stage as usize])
                    .chain(Loss::ALL.iter().map(|stage| line.lost_frames(*stage)))
                    .sum();
                log::info!(
                    "{} {}: {} frames received, {} matched, {} written, {lost} lost",
                    interface.name,
                    direction.label(),
                    counters.received_frames,
                    counters.matched_frames,
                    line.written_frames(),
                );
            }
        }
    }
}

impl SnapshotSource for Shared {
    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        let tables = self.tables();
        self.states()
            .into_iter()
            .map(|state| {
                let counters = |direction| {
                    tables
                        .counters(state.slot.into(), direction)
                        .map_err(|error| crate::chain(&error))
                };
                Ok(InterfaceSnapshot {
                    counters: [counters(Direction::Ingress)?, counters(Direction::Egress)?],
                    name: state.name,
                    slot: state.slot,
                    mode: state.mode,
                    attach: state.attach,
                    copy: state.copy,
                    filter: state.filter,
                })
            })
            .collect()
    }

    fn flows_limit(&self) -> Result<u64, String> {
        self.tables().flows_limit().map_err(|error| crate::chain(&error))
    }

    fn flows(&self) -> Result<u64, String> {
        let count = || {
            let batches = self.tables().flow_batches()?;
            // The lock on the tables is given back: the walk has its own descriptor.
            batches.count()
        };
        count().map_err(|error| crate::chain(&error))
    }

    fn flow_records(&self, query: &FlowQuery) -> Result<FlowList, String> {
        let base = TimeBase { offset: self.clock.offset() };
        let read = || {
            let (troubles, conversations) = {
                let tables = self.tables();
                (tables.trouble_batches()?, tables.flow_batches()?)
            };
            flows::read(troubles, conversations, query, base)
        };
        read().map_err(|error| crate::chain(&error))
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn segments(&self) -> SegmentsSnapshot {
        self.status.snapshot()
    }

    fn ready(&self) -> Result<(), String> {
        let problems: Vec<String> = self
            .states()
            .into_iter()
            .filter(|state| !state.problem.is_empty())
            .map(|state| format!("{}: {}", state.name, state.problem))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}
