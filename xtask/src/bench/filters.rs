//! What a filter costs, beside the kernel's own socket filter with the same classic program.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::programs::run_example;

/// What the example `filter_cost` of capture-user measures: nanoseconds on top of a program that
/// does nothing.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Cost {
    filter: String,
    classic_instructions: u32,
    instructions: u32,
    xdp_ns: f64,
    tc_ns: f64,
    /// When the frame cannot be read directly.
    xdp_by_helpers_ns: f64,
    socket_filter_ns: f64,
}

/// Builds and runs the example.
pub(super) fn measure() -> Result<Vec<Cost>> {
    let said = run_example("filter_cost")?;
    serde_json::from_str(&said).with_context(|| format!("not what filter_cost prints: {said}"))
}

/// A Markdown table.
pub(super) fn table(costs: &[Cost]) -> String {
    let mut table = String::from(
        "| filter | classic instructions | ours | XDP, ns | tc, ns | XDP by helpers, ns | socket \
         filter, ns |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for cost in costs {
        let Cost { filter, classic_instructions, instructions, .. } = cost;
        let times = [cost.xdp_ns, cost.tc_ns, cost.xdp_by_helpers_ns, cost.socket_filter_ns];
        let times = times.map(|ns| format!("{ns:.0}")).join(" | ");
        // Writing to a string does not fail.
        let _infallible =
            writeln!(table, "| `{filter}` | {classic_instructions} | {instructions} | {times} |");
    }
    table
}
