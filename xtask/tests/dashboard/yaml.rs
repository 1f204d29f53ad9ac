//! Prometheus's YAML files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use xtask::dashboard;

/// Unit tests of alert rules, as promtool reads them.
#[derive(Deserialize)]
pub struct UnitTests {
    tests: Vec<UnitTest>,
}

#[derive(Deserialize)]
struct UnitTest {
    alert_rule_test: Vec<Expectation>,
}

#[derive(Deserialize)]
struct Expectation {
    alertname: String,
    exp_alerts: Vec<Value>,
}

impl UnitTests {
    /// For each alert: in how many expectations it fires, and in how many it does not.
    pub fn cases(&self) -> BTreeMap<&str, [usize; 2]> {
        let mut cases = BTreeMap::new();
        for case in self.tests.iter().flat_map(|test| &test.alert_rule_test) {
            let [firing, quiet] = cases.entry(case.alertname.as_str()).or_insert([0, 0]);
            *(if case.exp_alerts.is_empty() { quiet } else { firing }) += 1;
        }
        cases
    }
}

/// Reads a YAML file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    serde_saphyr::from_str(&text).with_context(|| format!("cannot understand {shown}"))
}

/// Writes the configuration that we ship into `directory` as a test can use it: everything every
/// second, rules by absolute path, and other targets if some are given.
pub fn hasten(directory: &Path, targets: Option<&[&str]>) -> Result<PathBuf> {
    let mut config: Value = read(&dashboard::file("prometheus.yml"))?;
    config["global"] = json!({ "scrape_interval": "1s", "evaluation_interval": "1s" });
    for file in config["rule_files"].as_array_mut().context("no rule_files")? {
        *file = json!(dashboard::file(file.as_str().context("not the name of a file")?));
    }
    if let Some(targets) = targets {
        config["scrape_configs"][0]["static_configs"][0]["targets"] = json!(targets);
    }
    // JSON is YAML.
    let path = directory.join("prometheus.yml");
    fs::write(&path, config.to_string())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
