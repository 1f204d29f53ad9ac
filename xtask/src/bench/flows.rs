//! What the flow table costs: with few and many conversations, and under a flood of SYNs.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::programs::run_example;

/// What the example `flow_cost` of capture-user measures.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Flows {
    cases: Vec<Case>,
    /// Loading everything, a table for a million conversations included.
    start_seconds: f64,
    /// Memory of the kernel for it.
    table_bytes: u64,
    flood: Flood,
}

/// So many conversations, of which segments come in random order.
#[derive(Debug, Deserialize, Serialize)]
struct Case {
    flows: u32,
    ns_per_frame: f64,
}

/// SYNs from ever new sources, while a few conversations go on.
#[derive(Debug, Deserialize, Serialize)]
struct Flood {
    sources: u32,
    ns_per_frame: f64,
    memory_grown_bytes: u64,
    known: u32,
    survived: u32,
    flows: u64,
}

/// Builds and runs the example.
pub(super) fn measure() -> Result<Flows> {
    let said = run_example("flow_cost")?;
    serde_json::from_str(&said).with_context(|| format!("not what flow_cost prints: {said}"))
}

/// A Markdown table, and a paragraph.
pub(super) fn table(flows: &Flows) -> String {
    let mut table = String::from(
        "| conversations, in random order | ns per segment | of that with one |\n|--:|--:|--:|\n",
    );
    let first = flows.cases.first().map_or(f64::NAN, |case| case.ns_per_frame);
    for Case { flows, ns_per_frame } in &flows.cases {
        let ratio = ns_per_frame / first;
        table.push_str(&format!("| {flows} | {ns_per_frame:.0} | {ratio:.1} |\n"));
    }
    let Flood { sources, ns_per_frame, memory_grown_bytes, known, survived, .. } = &flows.flood;
    table.push_str(&format!(
        "\nTables for a million conversations: {:.0} MB, loaded in {:.1} s. SYNs from {sources} \
         sources: {ns_per_frame:.0} ns each, {:.1} MB more memory; of {known} conversations that went \
         on meanwhile, {survived} survived.\n",
        flows.table_bytes as f64 / 1e6,
        flows.start_seconds,
        *memory_grown_bytes as f64 / 1e6,
    ));
    table
}
