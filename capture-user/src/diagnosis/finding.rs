//! What is wrong with a service, of one kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    case::{Case, Counts},
    rules::{self, Group, grouped},
    services::Service,
    show, times,
    verdict::{Confidence, Direction, Side, Verdict},
};
use crate::flows::FlowRecord;

/// Clients that are named.
const EXAMPLES: usize = 3;

/// One thing that is wrong with a service, and with how many of its conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub verdict: Verdict,
    /// The same in a sentence, with how many conversations it concerns.
    pub sentence: String,
    /// Which side is at fault.
    pub side: Side,
    /// Which way packets are in trouble.
    pub direction: Direction,
    /// How sure that is, of the conversation in which it is surest.
    pub confidence: Confidence,
    /// The evidence, and what speaks against it.
    pub why: Vec<String>,
    /// Conversations that it concerns.
    pub flows: u64,
    /// A few of their clients, as address:port.
    pub clients: Vec<String>,
    /// The numbers behind the evidence: added up over the conversations, or the greatest.
    pub counts: BTreeMap<String, u64>,
    /// When it was first seen, nanoseconds since 1970; RFC 3339 in JSON.
    #[serde(with = "times")]
    pub first: i64,
    /// When it was last seen, likewise.
    #[serde(with = "times")]
    pub last: i64,
    /// What to look at next.
    pub next: Vec<String>,
    /// Commands that show the evidence.
    pub show: Show,
}

/// Commands to be copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// The conversations.
    pub captured: String,
    /// The packets; `SEGMENT` stands for a file.
    pub tshark: String,
}

/// The cases of one kind.
#[derive(Debug)]
pub(super) struct Cases {
    first: Case,
    flows: u64,
    clients: Vec<String>,
}

impl Cases {
    pub fn new(first: Case) -> Self {
        Self { first, flows: 0, clients: Vec::new() }
    }

    /// One more of the same kind, of a conversation.
    pub fn add(&mut self, case: &Case, flow: &FlowRecord) {
        let all = &mut self.first;
        if self.flows > 0 {
            all.counts.merge(&case.counts);
        }
        all.confidence = all.confidence.min(case.confidence);
        all.first = all.first.min(case.first);
        all.last = all.last.max(case.last);
        self.flows += 1;
        if self.clients.len() < EXAMPLES {
            self.clients.push(flow.client.to_string());
        }
    }

    /// The finding, of a service that has so many conversations.
    pub fn finding(&self, service: &Service, total: u64, syns_left_unknown: u64) -> Finding {
        let Case { kind, confidence, counts, first, last } = &self.first;
        let group = Group {
            service: service.address,
            protocol: service.protocol,
            cause: kind.cause,
            confidence: *confidence,
            counts,
            syns_left_unknown,
        };
        let words = rules::words(&group);
        Finding {
            verdict: kind.verdict,
            sentence: format!("{}; {}.", words.sentence, share(self.flows, total)),
            side: kind.side,
            direction: kind.direction,
            confidence: *confidence,
            why: words.why,
            flows: self.flows,
            clients: self.clients.clone(),
            counts: Counts::all(counts),
            first: *first,
            last: *last,
            next: words.next,
            show: show::commands(service, &words.filter),
        }
    }
}

fn share(flows: u64, total: u64) -> String {
    match (flows, total) {
        (_, 1) => "the only flow".into(),
        (flows, total) if flows == total => format!("all {} flows", grouped(total)),
        (flows, total) => format!("{} of {} flows", grouped(flows), grouped(total)),
    }
}
