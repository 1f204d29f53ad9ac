//! Conversations by the service that they are with.

use std::{cmp::Reverse, collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::{
    case::{Case, Kind},
    context::Context,
    finding::{Cases, Finding},
    rules::{self, Assessment, grouped},
    verdict::{Confidence, Verdict},
};
use crate::flows::FlowRecord;

/// How a service fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Address and port of the server, as `203.0.113.2:80` or `[2001:db8::1]:80`.
    pub service: String,
    /// `tcp`, `udp`, …; the number for what has no name here.
    pub protocol: String,
    /// Identifier of the tunnel that it is in; 0 outside of tunnels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tunnel: u32,
    /// Conversations with it.
    pub flows: u64,
    /// Those in which nothing is wrong.
    pub healthy_flows: u64,
    /// That of the worst finding.
    pub verdict: Verdict,
    /// The worst finding's sentence, or that nothing is wrong.
    pub sentence: String,
    /// All that is wrong, the worst first; empty if nothing is.
    pub findings: Vec<Finding>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What conversations are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub address: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    pub tunnel: u32,
}

impl Service {
    fn of(flow: &FlowRecord) -> Self {
        Self { address: flow.server, protocol: flow.protocol, tunnel: flow.tunnel }
    }

    /// As in display filters.
    pub fn protocol_name(self) -> String {
        match self.protocol {
            1 => "icmp".into(),
            6 => "tcp".into(),
            17 => "udp".into(),
            58 => "icmpv6".into(),
            132 => "sctp".into(),
            number => number.to_string(),
        }
    }
}

/// What is known of a service.
#[derive(Debug, Default)]
struct Tally {
    flows: u64,
    healthy: u64,
    pending: u64,
    cases: BTreeMap<Kind, Cases>,
}

impl Tally {
    fn add(&mut self, flow: &FlowRecord, context: &Context<'_>) {
        self.flows += 1;
        match rules::assess(flow, context) {
            Assessment::Healthy => self.healthy += 1,
            Assessment::Pending => {
                self.healthy += 1;
                self.pending += 1;
            }
            Assessment::Troubled(cases) => cases.into_iter().for_each(|case| self.note(case, flow)),
        }
    }

    fn note(&mut self, case: Case, flow: &FlowRecord) {
        self.cases.entry(case.kind).or_insert_with(|| Cases::new(case.clone())).add(&case, flow);
    }

    fn report(&self, service: &Service, context: &Context<'_>) -> ServiceReport {
        let unknown = context.question.syns_left_unknown;
        let mut findings: Vec<Finding> =
            self.cases.values().map(|cases| cases.finding(service, self.flows, unknown)).collect();
        findings.sort_by_key(weight);
        let worst = findings.first();
        ServiceReport {
            service: service.address.to_string(),
            protocol: service.protocol_name(),
            tunnel: service.tunnel,
            flows: self.flows,
            healthy_flows: self.healthy,
            verdict: worst.map_or(Verdict::Healthy, |finding| finding.verdict),
            sentence: worst.map_or_else(|| self.health(service), |worst| worst.sentence.clone()),
            findings,
        }
    }

    fn health(&self, service: &Service) -> String {
        let flows = if self.flows == 1 { "1 flow".into() } else { grouped(self.flows) + " flows" };
        let address = service.address;
        match self.pending {
            0 => format!("{address} is healthy: {flows}, none in trouble."),
            pending if pending == self.flows => {
                format!("{address}: {flows}, opened just now: too early to say more.")
            }
            pending => format!(
                "{address} is healthy: {flows}, none in trouble ({} opened just now).",
                grouped(pending)
            ),
        }
    }
}

/// The least is the worst: what is more than a possibility before what is not, what stops
/// conversations before what slows them down, the surer before the less sure, and then by how many
/// conversations it concerns.
fn weight(finding: &Finding) -> (bool, bool, Confidence, Reverse<u64>, Verdict) {
    (
        finding.confidence == Confidence::Possible,
        !finding.verdict.stops_conversations(),
        finding.confidence,
        Reverse(finding.flows),
        finding.verdict,
    )
}

/// The reports on all services that are asked about, the worst first.
pub(super) fn report(flows: &[FlowRecord], context: &Context<'_>) -> Vec<ServiceReport> {
    let mut services: BTreeMap<Service, Tally> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| context.question.takes(flow)) {
        services.entry(Service::of(flow)).or_default().add(flow, context);
    }
    let mut reports: Vec<ServiceReport> =
        services.iter().map(|(service, tally)| tally.report(service, context)).collect();
    // Stable: services of equal weight stay in the order of their addresses.
    reports.sort_by_key(|report| {
        let worst = report.findings.first().map(weight);
        (worst.is_none(), worst)
    });
    reports
}
