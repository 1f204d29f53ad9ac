//! The Grafana dashboard and the alert rules in `dashboards/`, as far as their tests need to
//! understand them.
//!
//! - [`model`]: the panels and queries of a dashboard file.
//! - [`variables`]: Grafana's variables in a query, replaced as Grafana would.
//! - [`prometheus`]: a real Prometheus, which is asked what it makes of a query.

pub mod model;
pub mod prometheus;
pub mod variables;

pub use model::{Dashboard, Panel, Query};
pub use prometheus::Prometheus;
pub use variables::Variables;

use std::path::PathBuf;

use crate::lab::build::workspace;

/// Path of a file in `dashboards/`.
#[must_use]
pub fn file(name: &str) -> PathBuf {
    workspace().join("dashboards").join(name)
}
