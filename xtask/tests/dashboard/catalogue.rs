//! Which metrics there are, with which labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};
use xtask::lab::Metrics;

use super::promql::{self, Names};

/// Labels that Prometheus gives to every series that it scrapes.
const SCRAPE_LABELS: [&str; 2] = ["instance", "job"];
/// Metrics that Prometheus makes itself for every target.
const SCRAPE_METRICS: [&str; 1] = ["up"];

/// Metrics and their labels.
pub struct Catalogue {
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Catalogue {
    /// From what a daemon answers to a scrape.
    pub fn of(metrics: &Metrics) -> Self {
        let scraped = || SCRAPE_LABELS.iter().map(|&label| label.to_owned()).collect();
        let mut labels: BTreeMap<String, BTreeSet<String>> =
            SCRAPE_METRICS.iter().map(|&name| (name.to_owned(), scraped())).collect();
        for name in metrics.names() {
            let known = labels.entry(name.to_owned()).or_insert_with(scraped);
            let series = metrics.select(name, &[]);
            known.extend(series.flat_map(|(series, _)| series.labels.keys().cloned()));
        }
        Self { labels }
    }

    /// Takes an expression apart if it names only metrics and labels that exist.
    ///
    /// # Errors
    /// It does not parse, or names something that does not exist.
    pub fn check(&self, expr: &str) -> Result<Names> {
        let names = promql::names(expr).map_err(anyhow::Error::msg)?;
        ensure!(!names.selectors.is_empty(), "{expr}: reads no metric");
        for selector in &names.selectors {
            let Some(labels) = self.labels.get(&selector.metric) else {
                bail!("{expr}: no metric is called {}", selector.metric);
            };
            for label in &selector.labels {
                let metric = &selector.metric;
                ensure!(labels.contains(label), "{expr}: {metric} has no label {label}");
            }
        }
        Ok(names)
    }
}

#[test]
fn tells_what_exists() {
    let text = "a_total{x=\"1\"} 1\na_total{y=\"\"} 2\nb 3\n";
    let catalogue = Catalogue::of(&Metrics::parse(text).unwrap());
    for good in ["sum by (x, job) (rate(a_total{y=\"\"}[1m]))", "b{instance=\"i\"}", "up == 0"] {
        catalogue.check(good).unwrap();
    }
    for bad in ["c", "a_total{z=\"\"}", "sum by (x) (b)", "b{x=\"\"}", "time()"] {
        assert!(catalogue.check(bad).is_err(), "{bad}");
    }
}
