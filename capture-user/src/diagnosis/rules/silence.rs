//! SYNs that nobody answers.

use super::{Cause, Group, Words, many, syns_again, unknown_leavers};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::{Context, Leaving},
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::FlowRecord,
};

/// Where SYNs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silence {
    /// Beyond this gateway; does the host answer on other ports?
    Beyond { host_answers: bool, service_answers: bool },
    /// Somewhere: nothing tells whether they left.
    Untracked,
    /// In this gateway.
    Here { leaving: Leaving },
    /// In this host, which they were for.
    ForThisHost,
}

/// A conversation of which there are SYNs and nothing else.
pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    let client = &flow.from_client;
    let silence = if context.is_own(flow.server.ip()) && client.syns_left() == 0 {
        Silence::ForThisHost
    } else if client.syns_left() > 0 {
        Silence::Beyond {
            host_answers: context.answers_elsewhere(flow),
            service_answers: context.answers_others(flow),
        }
    } else {
        match context.leaving(flow) {
            _ if flow.tunnel != 0 => Silence::Untracked,
            Leaving::Unseen => Silence::Untracked,
            leaving => Silence::Here { leaving },
        }
    };
    let (verdict, side) = match silence {
        Silence::Beyond { .. } | Silence::Untracked => {
            (Verdict::SilentDropBeyond, Side::ServerNetwork)
        }
        Silence::Here { .. } | Silence::ForThisHost => (Verdict::DroppedByGateway, Side::Gateway),
    };
    let kind = Kind {
        verdict,
        side,
        direction: Direction::ClientToServer,
        cause: Cause::Silence(silence),
    };
    let counts = Counts::default()
        .sum("syns", client.syns())
        .sum("syns_left", client.syns_left())
        .sum("syns_again", syns_again(flow));
    cases.push(case(flow, context, kind, confidence(flow, context, silence), counts));
}

/// From the first SYN on: the kernel's trouble begins when one is sent again.
fn case(
    flow: &FlowRecord,
    context: &Context<'_>,
    kind: Kind,
    confidence: Confidence,
    counts: Counts,
) -> Case {
    let mut case = Case::new(flow, context, kind, confidence, counts);
    case.first = context.question.since.map_or(flow.first, |since| flow.first.max(since));
    case.last = case.last.max(flow.last);
    case
}

fn confidence(flow: &FlowRecord, context: &Context<'_>, silence: Silence) -> Confidence {
    let sure = match silence {
        Silence::Untracked => return Confidence::Possible,
        // Both ways lead through this gateway, so that the answer has not gone around it.
        Silence::Beyond { host_answers, service_answers } if host_answers || service_answers => {
            if syns_again(flow) > 1 {
                Confidence::Certain
            } else {
                Confidence::Likely
            }
        }
        Silence::Beyond { .. } | Silence::ForThisHost => Confidence::Likely,
        Silence::Here { leaving: Leaving::Seen } => Confidence::Certain,
        Silence::Here { leaving: Leaving::SeenElsewhere } => Confidence::Likely,
        Silence::Here { .. } => Confidence::Possible,
    };
    let is_here = matches!(silence, Silence::Here { .. });
    let is_doubtful = is_here && context.question.syns_left_unknown > 0 || syns_again(flow) == 0;
    if is_doubtful { sure.lowered() } else { sure }
}

pub fn words(group: &Group<'_>, silence: Silence) -> Words {
    let counts = group.counts;
    let (syns, left) = (counts.get("syns"), counts.get("syns_left"));
    let mut words = match silence {
        Silence::Beyond { host_answers, service_answers } => {
            beyond(group, host_answers, service_answers)
        }
        Silence::Untracked => untracked(group),
        Silence::Here { leaving } => here(group, leaving),
        Silence::ForThisHost => for_this_host(group),
    };
    if left > 0 && left < syns {
        words.why.push(format!("{} did not leave", many(syns - left, "SYN")));
    }
    words.filter = "tcp.flags.syn == 1".into();
    words
}

fn untracked(group: &Group<'_>) -> Words {
    let (service, syns) = (group.service, group.counts.get("syns"));
    Words {
        sentence: format!(
            "Nobody answers SYNs to {service}; whether they left this gateway cannot be told"
        ),
        why: vec![
            format!("{} came in, nothing came back, no ICMP error either", many(syns, "SYN")),
            "leaving is not seen here: packets in a tunnel, NAT, a mirror port, or an interface \
             that is not captured"
                .into(),
        ],
        next: vec![format!("capture on the interface towards {} as well", service.ip())],
        ..Words::default()
    }
}

fn for_this_host(group: &Group<'_>) -> Words {
    Words {
        sentence: format!("This host itself does not answer SYNs to {}", group.service),
        why: vec![format!(
            "{} came in for an address of this host, and neither SYN-ACK nor RST was sent",
            many(group.counts.get("syns"), "SYN")
        )],
        next: vec![
            "on this host: a drop rule (`nft list ruleset`), or a full accept queue (`nstat -az \
             TcpExtListenDrops`)"
                .into(),
        ],
        ..Words::default()
    }
}

fn beyond(group: &Group<'_>, host_answers: bool, service_answers: bool) -> Words {
    let service = group.service;
    let (host, port) = (service.ip(), service.port());
    let (syns, left) = (group.counts.get("syns"), group.counts.get("syns_left"));
    let (hint, next) = if service_answers {
        (
            format!(
                "{service} does answer others through this gateway: what drops goes by the client, \
                 or the server is overloaded"
            ),
            format!(
                "on {host}: a full accept queue (`nstat -az TcpExtListenDrops`), or a rule that \
                 goes by the client's address, there or before it"
            ),
        )
    } else if host_answers {
        (
            format!(
                "{host} answers on other ports through this gateway: what drops goes by the port"
            ),
            format!("the firewall of {host}, and those before it: a drop rule for port {port}"),
        )
    } else {
        (
            format!(
                "{host} has answered nobody through this gateway: it may be down, or its answers \
                 take another way"
            ),
            format!(
                "is {host} up, and does its way back lead through this gateway? (`tcpdump` there, \
                 `traceroute -T -p {port} {host}` from here)"
            ),
        )
    };
    Words {
        sentence: format!(
            "SYNs to {service} vanish beyond this gateway: the server, its firewall, or the \
             network before it drops them silently"
        ),
        why: vec![
            format!("{} came in and {} left this gateway", many(syns, "SYN"), super::grouped(left)),
            "nothing came back: no SYN-ACK, no RST, no ICMP error".into(),
            hint,
        ],
        next: vec![next],
        ..Words::default()
    }
}

fn here(group: &Group<'_>, leaving: Leaving) -> Words {
    let service = group.service;
    let syns = group.counts.get("syns");
    let mut why = vec![format!("{} came in, none left, nothing came back", many(syns, "SYN"))];
    why.push(match leaving {
        Leaving::Seen => format!("other SYNs to {} were seen leaving", service.ip()),
        Leaving::SeenElsewhere => {
            "SYNs to other hosts were seen leaving; if the way to this one leads over an interface \
             that is not captured, these left unseen"
                .into()
        }
        Leaving::Unknown | Leaving::Unseen => {
            "but no SYN at all was seen leaving so far: if the interface towards the server is not \
             captured, these left unseen"
                .into()
        }
    });
    why.extend(unknown_leavers(group));
    Words {
        sentence: format!(
            "This gateway drops SYNs to {service}: its own firewall or routing does not let them \
             out"
        ),
        why,
        next: vec![format!(
            "on this gateway: `nft list ruleset` (forward chains), `ip route get {}`, reverse path \
             filter (`nstat -az TcpExtIPReversePathFilter`)",
            service.ip()
        )],
        ..Words::default()
    }
}
