//! Prometheus metrics, read from a snapshot of the daemon at each scrape.
//!
//! Nothing is kept between scrapes, but for the number of evicted conversations: the counters live in
//! the kernel's maps and in the ledger. A snapshot that cannot be read fails the whole scrape, since half of the series, or zeros, would
//! look like a daemon that was restarted. [`DEFINITIONS`] names every metric of the daemon;
//! `docs/metrics.md` is checked against it.

mod definitions;
mod families;
mod scrape;

use std::sync::{Arc, atomic::AtomicU64};

use prometheus::{
    TextEncoder, core::Collector as _, process_collector::ProcessCollector, proto::MetricFamily,
};

pub use definitions::{DEFINITIONS, Definition, Kind};
use scrape::Scrape;

use crate::snapshot::SnapshotSource;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why a scrape has no result.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The counters of the kernel programs could not be read.
    #[error("counters of the interfaces: {0}")]
    Interfaces(String),
    /// The flow table could not be read.
    #[error("flow table: {0}")]
    Flows(String),
    /// The text could not be made.
    #[error("text format: {0}")]
    Encode(#[from] prometheus::Error),
}

/// Renders the metrics of a daemon.
pub struct Metrics {
    source: Arc<dyn SnapshotSource>,
    process: ProcessCollector,
    /// The most evictions from the flow table that a scrape has seen.
    evicted: AtomicU64,
}

impl Metrics {
    /// Metrics of what `source` shows, and of the calling process.
    #[must_use]
    pub fn new(source: Arc<dyn SnapshotSource>) -> Self {
        Self { source, process: ProcessCollector::for_self(), evicted: AtomicU64::new(0) }
    }

    /// All metrics in the text format. Does system calls: not for an async task.
    ///
    /// # Errors
    /// The source could not be read, or its values have no text form.
    pub fn render(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.gather()?)?)
    }

    fn gather(&self) -> Result<Vec<MetricFamily>, MetricsError> {
        let mut families = families::of(&Scrape::take(self.source.as_ref(), &self.evicted)?);
        families.extend(self.process.collect());
        // The encoder refuses a family without samples; a daemon without interfaces has some.
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(families)
    }
}

#[cfg(test)]
mod tests;
