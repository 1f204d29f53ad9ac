//! Debian's Prometheus with a database of its own, which goes with it.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Namespace, Process, command, wait_until};

/// It replays nothing, but shares the machine with builds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Labels of a series, with its name as `__name__`.
pub type Labels = BTreeMap<String, String>;

/// A running Prometheus. Dropped, it is killed and its database removed.
pub struct Prometheus<'a> {
    namespace: Option<&'a Namespace>,
    process: Process,
    address: String,
    _database: TempDir,
}

/// An alert rule, as Prometheus understood it.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// Name of the alert.
    pub name: String,
    /// Its condition, in Prometheus's own layout.
    pub query: String,
    /// Labels that it adds.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Labels,
    /// `ok`, `err`, or `unknown` as long as it was not evaluated.
    pub health: String,
    /// What went wrong in the last evaluation.
    #[serde(default, rename = "lastError")]
    pub last_error: String,
}

impl<'a> Prometheus<'a> {
    /// Starts it with a configuration file, on a free loopback port of the namespace (of the
    /// caller's own without one), and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, refused the configuration, or is not ready in time; with what it said.
    pub fn start(config: &Path, namespace: Option<&'a Namespace>) -> Result<Self> {
        let database = tempfile::tempdir().context("cannot make a directory for Prometheus")?;
        let mut prometheus = program("prometheus", namespace);
        prometheus.arg(format!("--config.file={}", config.display()));
        prometheus.arg(format!("--storage.tsdb.path={}", database.path().display()));
        prometheus.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        let mut process = Process::start(&mut prometheus)?;
        let line = process.wait_for_stderr("\"Listening on\"", START_LIMIT)?;
        let line: Value = serde_json::from_str(&line)
            .with_context(|| format!("Prometheus's log is not JSON: {line}"))?;
        let address = line["address"].as_str().context("Prometheus's log names no address")?;
        let address = address.to_owned();
        process.wait_for_stderr("Server is ready to receive web requests", START_LIMIT)?;
        Ok(Self { namespace, process, address, _database: database })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Evaluates a query at this moment and returns the resulting series. The one value of a
    /// scalar counts as a series without labels.
    ///
    /// # Errors
    /// It does not parse or cannot be evaluated; with what Prometheus says.
    pub fn query(&self, expr: &str) -> Result<Vec<Labels>> {
        let mut data = self.get("query", &[("query", expr)])?;
        if data["resultType"] == "scalar" {
            return Ok(vec![Labels::new()]);
        }
        #[derive(Deserialize)]
        struct Sample {
            metric: Labels,
        }
        let samples: Vec<Sample> = serde_json::from_value(data["result"].take())
            .with_context(|| format!("not an instant vector: {expr}"))?;
        Ok(samples.into_iter().map(|sample| sample.metric).collect())
    }

    /// The series that a selector matches.
    ///
    /// # Errors
    /// It is not a selector; with what Prometheus says.
    pub fn series(&self, selector: &str) -> Result<Vec<Labels>> {
        let data = self.get("series", &[("match[]", selector)])?;
        serde_json::from_value(data).context("Prometheus's answer holds no series")
    }

    /// The alert rules.
    ///
    /// # Errors
    /// No answer, or one in another form.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            rules: Vec<Rule>,
        }
        let data = self.get("rules", &[("type", "alert")])?;
        let Groups { groups } = serde_json::from_value(data).context("not a list of rules")?;
        Ok(groups.into_iter().flat_map(|group| group.rules).collect())
    }

    /// Waits until a query has a result.
    ///
    /// # Errors
    /// The query is refused, Prometheus ended, or `limit` went by.
    pub fn wait_for(&mut self, expr: &str, limit: Duration) -> Result<()> {
        let waited = wait_until(limit, &format!("a result of {expr}"), || {
            if let Some(status) = self.process.ended()? {
                bail!("Prometheus ended: {status}");
            }
            Ok((!self.query(expr)?.is_empty()).then_some(()))
        });
        waited.with_context(|| format!("Prometheus said: {}", self.process.stderr().trim()))
    }

    /// Waits until each alert rule was evaluated.
    ///
    /// # Errors
    /// No answer, or `limit` went by.
    pub fn wait_for_rules(&self, limit: Duration) -> Result<()> {
        wait_until(limit, "the evaluation of all rules", || {
            let rules = self.rules()?;
            let evaluated = !rules.is_empty() && rules.iter().all(|rule| rule.health != "unknown");
            Ok(evaluated.then_some(()))
        })
    }

    /// `data` of an answer of the HTTP API.
    fn get(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let mut curl = program("curl", self.namespace);
        curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "20", "--get"]);
        for (name, value) in parameters {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        curl.arg(format!("http://{}/api/v1/{endpoint}", self.address));
        let answer = command::run(&mut curl, b"")?;
        let mut answer: Value = serde_json::from_str(&answer)
            .with_context(|| format!("Prometheus's answer is not JSON: {answer}"))?;
        if answer["status"] != "success" {
            bail!("Prometheus refuses {parameters:?}: {}", answer["error"]);
        }
        Ok(answer["data"].take())
    }
}

/// A program, in a namespace if one is given.
fn program(name: &str, namespace: Option<&Namespace>) -> Command {
    let mut command = namespace.map_or_else(|| Command::new(name), |inside| inside.command(name));
    command.stdin(Stdio::null());
    command
}
