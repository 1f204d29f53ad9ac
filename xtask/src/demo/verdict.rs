//! What the daemon says of a scene at `GET /v1/diagnosis`, and what it must say.

use std::{fmt, net::SocketAddr};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::lab::{Daemon, daemon::Answer};

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing.
    Healthy,
    /// The host's own firewall rejects.
    HostRejects,
    /// A router on the way rejects.
    HopRejects,
    /// No process listens.
    NothingListens,
    /// Something speaks in the host's name.
    ResetInBetween,
    /// What left the gateway is never answered.
    SilentDropBeyond,
    /// The gateway itself does not let it pass.
    DroppedByGateway,
    /// The answer left the gateway, and the client did not hear it.
    AnswerLostToClient,
    /// Data is lost before the gateway.
    LossUpstream,
    /// Data is lost behind the gateway.
    LossDownstream,
    /// The receiver does not read.
    ReceiverSlow,
    /// Large packets vanish.
    MtuBlackHole,
    /// The server takes its time.
    ServerSlow,
}

impl Verdict {
    /// All.
    pub const ALL: [Self; 13] = [
        Self::Healthy,
        Self::HostRejects,
        Self::HopRejects,
        Self::NothingListens,
        Self::ResetInBetween,
        Self::SilentDropBeyond,
        Self::DroppedByGateway,
        Self::AnswerLostToClient,
        Self::LossUpstream,
        Self::LossDownstream,
        Self::ReceiverSlow,
        Self::MtuBlackHole,
        Self::ServerSlow,
    ];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Which side is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The host that asked.
    Client,
    /// The host that was asked.
    Server,
    /// The host that captures.
    Gateway,
    /// What is between client and gateway.
    ClientNetwork,
    /// What is between server and gateway.
    ServerNetwork,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What the daemon must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The main verdict.
    pub verdict: Verdict,
    /// The sides that the main finding may blame; none for a healthy service, which has no finding.
    pub sides: &'static [Side],
    /// Verdicts that there must be besides.
    pub also: &'static [Verdict],
}

impl Expected {
    /// One verdict, which blames one of these sides.
    #[must_use]
    pub const fn only(verdict: Verdict, sides: &'static [Side]) -> Self {
        Self { verdict, sides, also: &[] }
    }
}

/// What the daemon says of a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The main verdict.
    pub verdict: Verdict,
    /// The side that the main finding blames.
    pub side: Option<Side>,
    /// The main finding in one sentence.
    pub sentence: Option<String>,
    /// The verdicts of the other findings.
    pub also: Vec<Verdict>,
}

/// The parts of the daemon's answer that matter here.
#[derive(Debug, Deserialize)]
struct Diagnosis {
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    service: SocketAddr,
    protocol: String,
    verdict: Verdict,
    #[serde(default)]
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    verdict: Verdict,
    side: Option<Side>,
    sentence: String,
}

/// Asks the daemon about a service.
///
/// # Errors
/// No answer, another status than 200, or not the answer that was agreed on.
pub fn ask(daemon: &Daemon<'_>, service: SocketAddr, protocol: &str) -> Result<Said> {
    let path = format!("/v1/diagnosis?host={}&port={}", service.ip(), service.port());
    let body = body(daemon.get(&path)?).with_context(|| daemon.url(&path))?;
    Said::parse(&body, service, protocol).with_context(|| daemon.url(&path))
}

/// All that the daemon has to say, as JSON.
///
/// # Errors
/// No answer, or another status than 200.
pub fn ask_all(daemon: &Daemon<'_>) -> Result<String> {
    body(daemon.get("/v1/diagnosis")?)
}

fn body(answer: Answer) -> Result<String> {
    match answer.status {
        200 => Ok(answer.body),
        status => bail!("status {status}: {}", answer.body.trim()),
    }
}

impl Said {
    /// Finds what an answer says of a service.
    ///
    /// # Errors
    /// It is not in the format, says nothing of the service, or blames for what it did not find.
    pub fn parse(json: &str, service: SocketAddr, protocol: &str) -> Result<Self> {
        let shown = || format!("the diagnosis is not in the format: {}", json.trim());
        let diagnosis: Diagnosis = serde_json::from_str(json).with_context(shown)?;
        let is_meant = |said: &&Service| said.service == service && said.protocol == protocol;
        let Some(said) = diagnosis.services.iter().find(is_meant) else {
            bail!("the diagnosis says nothing of {service} ({protocol}): {}", json.trim());
        };
        let main = said.findings.iter().find(|finding| finding.verdict == said.verdict);
        if main.is_none() && said.verdict != Verdict::Healthy {
            bail!("the diagnosis has no finding for its verdict {}: {}", said.verdict, json.trim());
        }
        let others = said.findings.iter().map(|finding| finding.verdict);
        Ok(Self {
            verdict: said.verdict,
            side: main.and_then(|finding| finding.side),
            sentence: main.map(|finding| finding.sentence.clone()),
            also: others.filter(|verdict| *verdict != said.verdict).collect(),
        })
    }

    /// What was expected and not said, in words; empty when all was.
    #[must_use]
    pub fn disappointments(&self, expected: &Expected) -> Vec<String> {
        let mut found = Vec::new();
        if self.verdict != expected.verdict {
            found.push(format!("verdict: {}, expected {}", self.verdict, expected.verdict));
            return found;
        }
        match self.side {
            Some(side) if !expected.sides.contains(&side) => {
                let sides: Vec<_> = expected.sides.iter().map(ToString::to_string).collect();
                found.push(format!("side at fault: {side}, expected {}", sides.join(" or ")));
            }
            None if !expected.sides.is_empty() => {
                found.push("no side at fault is named".to_owned())
            }
            _ => {}
        }
        for verdict in expected.also.iter().filter(|verdict| !self.also.contains(verdict)) {
            found.push(format!("{verdict} is not among the findings"));
        }
        found
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if let Some(side) = self.side {
            write!(f, " ({side})")?;
        }
        if let Some(sentence) = &self.sentence {
            write!(f, ": {}", sentence.trim_end_matches('.'))?;
        }
        self.also.iter().try_for_each(|verdict| write!(f, "; also {verdict}"))
    }
}

#[cfg(test)]
mod tests;
