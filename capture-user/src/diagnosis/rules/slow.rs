//! The network is fine, and the server takes its time.

use std::time::Duration;

use capture_common::class::{Class, LossSide};

use super::{Cause, Group, Words, has_moved_on};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::Context,
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{FlowRecord, FlowState},
};

/// An answer that takes longer is slow: people notice a tenth of it, and timeouts of clients are
/// several times as long.
const SLOW: Duration = Duration::from_secs(1);
/// And it must take so many times the round trip to the server, or distance explains it.
const ROUND_TRIPS: u32 = 10;
/// So long a request must have been waiting to be called unanswered.
const UNANSWERED: Duration = Duration::from_secs(10);
/// A client that gave up has waited at least so long.
const GAVE_UP: Duration = Duration::from_secs(3);
/// All of a request comes within this time after the connection's first packet, in nanoseconds.
const REQUEST: i64 = 2_000_000_000;
/// Services that take and never answer: syslog (RFC 6587, 5425), printers, Graphite, GELF, IPFIX,
/// Splunk's forwarders.
const ONE_WAY_PORTS: [u16; 9] = [514, 601, 1514, 6514, 9100, 2003, 12_201, 4739, 9997];

/// How the server is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slow {
    /// It answered late.
    Late,
    /// It has not answered.
    Never,
}

pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    if !is_network_clear(flow) {
        return;
    }
    let answer = flow.from_server.slowest_answer();
    let is_far = flow.server_rtt.is_some_and(|rtt| answer <= rtt * ROUND_TRIPS);
    let (slow, waited, confidence) = if answer > SLOW && !is_far {
        let confidence =
            if flow.server_rtt.is_some() { Confidence::Likely } else { Confidence::Possible };
        (Slow::Late, answer, confidence)
    } else if let Some(waited) = unanswered(flow, context) {
        (Slow::Never, waited, Confidence::Possible)
    } else {
        return;
    };
    let kind = Kind {
        verdict: Verdict::ServerSlow,
        side: Side::Server,
        direction: Direction::ServerToClient,
        cause: Cause::Slow(slow),
    };
    let rtt = flow.server_rtt.unwrap_or_default();
    let counts = Counts::default()
        .max("slowest_answer_microseconds", microseconds(waited))
        .max("server_rtt_microseconds", microseconds(rtt));
    let mut case = Case::new(flow, context, kind, confidence, counts);
    // It is no trouble to the kernel, so that its times are those of the whole conversation.
    (case.first, case.last) = (flow.first, flow.last);
    cases.push(case);
}

/// Nothing was lost on the way of question or answer, and the client reads what it gets.
fn is_network_clear(flow: &FlowRecord) -> bool {
    let (client, server) = (&flow.from_client, &flow.from_server);
    let asked_again = client.lost(LossSide::Upstream) + client.lost(LossSide::Downstream);
    asked_again == 0
        && server.lost(LossSide::Upstream) == 0
        && server.count(Class::LostSegment) == 0
        && client.count(Class::ZeroWindow) == 0
}

/// How long a request has been waiting: one that was sent right after the connection was opened,
/// that the server has acknowledged, and that is all that was ever said.
fn unanswered(flow: &FlowRecord, context: &Context<'_>) -> Option<Duration> {
    /// Of what is sent: SYN and FIN.
    const FLAGS: u32 = 2;
    let (client, server) = (&flow.from_client, &flow.from_server);
    let has_asked = client.sent() > FLAGS && has_moved_on(client);
    let has_heard = client.acknowledged() > FLAGS;
    let has_answered = server.sent() > FLAGS || server.is_finished() || server.has_reset();
    let was_opened_here = client.syns() > 0 && server.syns() > 0;
    if !was_opened_here || !has_asked || !has_heard || has_answered {
        return None;
    }
    if ONE_WAY_PORTS.contains(&flow.server.port()) {
        return None;
    }
    let last = client.last_rise()?;
    let gave_up = client.is_finished() || client.has_reset();
    // The FIN is the last rise, so that when the request was sent is not known any more.
    let (since, until, least) = if gave_up {
        (flow.first, client.last_packet()?, GAVE_UP)
    } else {
        (last, context.question.now, UNANSWERED)
    };
    let is_request = gave_up || last.saturating_sub(flow.first) < REQUEST;
    let waited = Duration::from_nanos(u64::try_from(until.saturating_sub(since)).ok()?);
    let is_open = flow.state != FlowState::Quoted;
    (is_open && is_request && waited >= least).then_some(waited)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub fn words(group: &Group<'_>, slow: Slow) -> Words {
    let service = group.service;
    let waited = seconds(group.counts.get("slowest_answer_microseconds"));
    let rtt = group.counts.get("server_rtt_microseconds");
    let (sentence, seen, but, filter) = match slow {
        Slow::Late => (
            format!(
                "{service} takes long to answer, up to {waited}; the network is not the reason"
            ),
            format!("the server's first data came {waited} after the client's last"),
            "but where a server speaks of its own accord (notifications, long polling), there is \
             nothing wrong with that",
            "tcp.len > 0 && tcp.time_delta > 1",
        ),
        Slow::Never => (
            format!(
                "{service} accepts connections and acknowledges requests, and does not answer them"
            ),
            format!("a request has waited {waited}, and the server sent no byte of data"),
            "but some protocols only take, and never answer",
            "tcp.len > 0",
        ),
    };
    let mut why = vec![seen];
    if rtt > 0 {
        why.push(format!("while its SYN-ACK took {} at most", seconds(rtt)));
    }
    why.extend(["nothing of question or answer had to be sent again".into(), but.into()]);
    let next = format!(
        "the application on {}: its log, its threads, what it waits for (database, DNS)",
        service.ip()
    );
    Words { sentence, why, next: vec![next], filter: filter.into() }
}

/// With three digits after the point, or as milliseconds.
fn seconds(microseconds: u64) -> String {
    if microseconds < 100_000 {
        format!("{}.{:03} ms", microseconds / 1000, microseconds % 1000)
    } else {
        format!("{}.{:03} s", microseconds / 1_000_000, microseconds / 1000 % 1000)
    }
}
