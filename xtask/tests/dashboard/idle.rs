//! A daemon that has seen nothing yet. It exports all its series all the same.

use std::sync::Arc;

use anyhow::Result;
use capture_common::abi::{Counters, Mode};
use capture_user::{
    filter::Filter,
    flows::{FlowList, FlowQuery},
    ledger::Ledger,
    metrics,
    snapshot::{Attach, InterfaceSnapshot, SegmentsSnapshot, SnapshotSource},
};
use xtask::lab::Metrics;

#[derive(Default)]
struct Idle {
    ledger: Ledger,
}

impl SnapshotSource for Idle {
    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        Ok(vec![InterfaceSnapshot {
            name: "eth0".to_owned(),
            slot: 0,
            mode: Mode::Tap,
            attach: Attach::Native,
            copy: None,
            filter: Filter::default(),
            counters: [Counters::ZERO; 2],
        }])
    }

    fn flows_limit(&self) -> Result<u64, String> {
        Ok(1024)
    }

    fn flows(&self) -> Result<u64, String> {
        Ok(0)
    }

    fn flow_records(&self, _: &FlowQuery) -> Result<FlowList, String> {
        Ok(FlowList::default())
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn segments(&self) -> SegmentsSnapshot {
        SegmentsSnapshot::default()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What the daemon exports, whatever it has seen.
pub fn metrics() -> Result<Metrics> {
    Metrics::parse(&metrics::Metrics::new(Arc::new(Idle::default())).render()?)
}
