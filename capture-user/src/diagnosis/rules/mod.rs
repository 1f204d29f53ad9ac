//! The rules, one file per family. Each family examines a conversation, and finds the words for
//! what it found in several.

mod handshake;
mod loss;
mod mtu;
mod refusal;
mod resets;
mod silence;
mod slow;
mod window;

use std::net::SocketAddr;

use super::{
    case::{Case, Counts},
    context::{Context, has_moved_on},
    verdict::Confidence,
};
use crate::flows::{FlowRecord, FlowState};

/// A SYN without an answer is no trouble before this time, in nanoseconds: clients wait one second
/// before they send it again (RFC 6298, section 2.1), three in older systems (RFC 1122).
const PATIENCE: i64 = 3_000_000_000;

/// What is behind a verdict: what tells cases of one verdict apart and is named in the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Refusal(refusal::Refusal),
    Unheard(refusal::Unheard),
    Reset(resets::Reset),
    Silence(silence::Silence),
    Handshake(handshake::Handshake),
    Mtu(mtu::Mtu),
    Loss(loss::Loss),
    Window(window::Window),
    Slow(slow::Slow),
}

/// What there is to say of cases of one kind.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub service: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    pub cause: Cause,
    pub confidence: Confidence,
    pub counts: &'a Counts,
    pub syns_left_unknown: u64,
}

/// What is said of them.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Without the full stop: how many conversations it concerns follows.
    pub sentence: String,
    pub why: Vec<String>,
    pub next: Vec<String>,
    /// The display filter's part behind the service.
    pub filter: String,
}

/// What is to say of one conversation.
#[derive(Debug)]
pub(super) enum Assessment {
    /// Nothing.
    Healthy,
    /// Nothing yet: it was opened just now.
    Pending,
    /// What it suffers from.
    Troubled(Vec<Case>),
}

/// Examines one conversation.
pub(super) fn assess(flow: &FlowRecord, context: &Context<'_>) -> Assessment {
    let mut cases = Vec::new();
    refusal::examine(flow, context, &mut cases);
    if cases.is_empty() && flow.is_tcp() {
        match phase(flow) {
            Phase::Refused => resets::refused(flow, context, &mut cases),
            Phase::Unanswered if is_pending(flow, context) => return Assessment::Pending,
            Phase::Unanswered => silence::examine(flow, context, &mut cases),
            Phase::Answered => handshake::examine(flow, context, &mut cases),
            Phase::Open => open(flow, context, &mut cases),
            Phase::Quoted => {}
        }
    }
    if cases.is_empty() { Assessment::Healthy } else { Assessment::Troubled(cases) }
}

/// How far a conversation has come, also where only one direction of it is seen.
enum Phase {
    Quoted,
    Refused,
    Unanswered,
    /// By the server, and the client has not taken note of it.
    Answered,
    Open,
}

fn phase(flow: &FlowRecord) -> Phase {
    let (client, server) = (&flow.from_client, &flow.from_server);
    match flow.state {
        FlowState::Quoted => Phase::Quoted,
        // NAT or asymmetric routing: the other direction is elsewhere.
        _ if client.syns() == 0 || has_moved_on(client) => Phase::Open,
        FlowState::Refused => Phase::Refused,
        // Of an answer that is translated here, only the leaving is seen.
        FlowState::Unanswered if server.syns_left() == 0 => Phase::Unanswered,
        FlowState::Unanswered | FlowState::HalfOpen => Phase::Answered,
        _ => Phase::Open,
    }
}

fn is_pending(flow: &FlowRecord, context: &Context<'_>) -> bool {
    let since = flow.from_client.last_packet().unwrap_or(flow.last);
    flow.from_client.syns() <= 1 && context.question.now.saturating_sub(since) < PATIENCE
}

/// A conversation that was opened, or whose opening was not seen.
fn open(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    if context.question.is_trouble_recent(flow) {
        resets::open(flow, context, cases);
        mtu::examine(flow, context, cases);
        loss::examine(flow, context, cases);
        window::examine(flow, context, cases);
    }
    // Else the network or the client is what is slow, or may be.
    if cases.is_empty() {
        slow::examine(flow, context, cases);
    }
}

/// Finds the words.
pub(super) fn words(group: &Group<'_>) -> Words {
    match group.cause {
        Cause::Refusal(cause) => refusal::words(group, cause),
        Cause::Unheard(cause) => refusal::unheard::words(group, cause),
        Cause::Reset(cause) => resets::words(group, cause),
        Cause::Silence(cause) => silence::words(group, cause),
        Cause::Handshake(cause) => handshake::words(group, cause),
        Cause::Mtu(cause) => mtu::words(group, cause),
        Cause::Loss(cause) => loss::words(group, cause),
        Cause::Window(cause) => window::words(group, cause),
        Cause::Slow(cause) => slow::words(group, cause),
    }
}

/// How often the client sent its SYN again.
fn syns_again(flow: &FlowRecord) -> u64 {
    flow.from_client.syns().saturating_sub(1)
}

/// "1 SYN", "2 SYNs".
fn many(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", grouped(number)) }
}

/// With commas between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What clients in this direction are told of SYNs that left unknown; nothing if there were none.
fn unknown_leavers(group: &Group<'_>) -> Option<String> {
    (group.syns_left_unknown > 0).then(|| {
        format!(
            "but {} left this gateway whose conversation was not known (NAT, or a table that is \
             too small): these may be among them",
            many(group.syns_left_unknown, "SYN")
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
