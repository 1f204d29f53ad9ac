//! RSTs: from the host itself, or from something in between that speaks in its name.

use capture_common::class::Class;

use super::{Cause, Group, Words, many, syns_again};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::{Context, Leaving, TtlMatch, is_initial_ttl},
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{End, FlowRecord},
};

/// After so many SYNs sent again, and RSTs, the client has not heard the RSTs. Systems that try
/// again after a RST to their SYN (Windows) do it twice.
const UNHEARD: u64 = 3;

/// What a RST means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reset {
    /// The host itself says that nothing listens.
    Refused { is_own: bool },
    /// Something answers SYNs in the server's name.
    Forged,
    /// Something breaks open conversations in the name of this end.
    ForgedLater(End),
    /// This gateway answers SYNs in the server's name.
    ByGateway,
    /// The client goes on in spite of RSTs.
    Unheard,
}

/// The server's first answer was a RST.
pub fn refused(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    let (reset, confidence) = judge_refusal(flow, context);
    let (verdict, side, direction) = match reset {
        Reset::ByGateway => (Verdict::DroppedByGateway, Side::Gateway, Direction::ClientToServer),
        Reset::Forged => (Verdict::ResetInBetween, Side::ServerNetwork, Direction::ServerToClient),
        _ => (Verdict::NothingListens, Side::Server, Direction::ClientToServer),
    };
    let counts = counts(flow, context, End::Server);
    let kind = Kind { verdict, side, direction, cause: Cause::Reset(reset) };
    cases.push(Case::new(flow, context, kind, confidence, counts.clone()));
    if syns_again(flow) >= UNHEARD && flow.from_server.count(Class::Reset) >= UNHEARD {
        let kind = Kind {
            verdict: Verdict::AnswerLostToClient,
            side: Side::ClientNetwork,
            direction: Direction::ServerToClient,
            cause: Cause::Reset(Reset::Unheard),
        };
        cases.push(Case::new(flow, context, kind, Confidence::Likely, counts));
    }
}

/// Who sent the RST?
fn judge_refusal(flow: &FlowRecord, context: &Context<'_>) -> (Reset, Confidence) {
    if context.is_own(flow.server.ip()) {
        return (Reset::Refused { is_own: true }, Confidence::Certain);
    }
    if let Some(confidence) = by_gateway(flow, context) {
        return (Reset::ByGateway, confidence);
    }
    let compared = match flow.from_server.reset_ttl() {
        Some(ttl) => context.compare_ttl(flow.tunnel, flow.server.ip(), ttl),
        None => TtlMatch::NoReference,
    };
    match compared {
        TtlMatch::Other(_) => (Reset::Forged, Confidence::Likely),
        TtlMatch::OtherInitial(_) => (Reset::Forged, Confidence::Possible),
        TtlMatch::InLine => (Reset::Refused { is_own: false }, Confidence::Certain),
        TtlMatch::NoReference => (Reset::Refused { is_own: false }, Confidence::Likely),
    }
}

/// Was it this gateway's firewall that answered? Then the SYN never left, and the RST was seen
/// where the client's SYN came in.
fn by_gateway(flow: &FlowRecord, context: &Context<'_>) -> Option<Confidence> {
    let is_local = context.is_own(flow.server.ip()) || context.is_own(flow.client.ip());
    if is_local || flow.tunnel != 0 || flow.from_client.syns_left() > 0 {
        return None;
    }
    let is_sent_here = flow.from_server.interface() == flow.from_client.interface()
        && flow.from_server.reset_ttl().is_some_and(is_initial_ttl);
    match (context.leaving(flow), is_sent_here) {
        (Leaving::Seen, true) => Some(Confidence::Certain),
        (Leaving::Seen, false) | (Leaving::SeenElsewhere | Leaving::Unknown, true) => {
            Some(Confidence::Likely)
        }
        _ => None,
    }
}

/// A conversation was open, and was reset.
pub fn open(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    for (end, address) in [(End::Client, flow.client.ip()), (End::Server, flow.server.ip())] {
        let from = flow.from(end);
        let Some(ttl) = from.reset_ttl().filter(|_| from.has_reset()) else { continue };
        let confidence = match context.compare_ttl(flow.tunnel, address, ttl) {
            TtlMatch::Other(_) => Confidence::Likely,
            TtlMatch::OtherInitial(_) => Confidence::Possible,
            TtlMatch::NoReference | TtlMatch::InLine => continue,
        };
        if context.is_own(address) {
            continue;
        }
        let kind = Kind {
            verdict: Verdict::ResetInBetween,
            side: Side::network(end),
            direction: Direction::from(end),
            cause: Cause::Reset(Reset::ForgedLater(end)),
        };
        cases.push(Case::new(flow, context, kind, confidence, counts(flow, context, end)));
    }
}

fn counts(flow: &FlowRecord, context: &Context<'_>, end: End) -> Counts {
    let from = flow.from(end);
    let host = if end == End::Client { flow.client.ip() } else { flow.server.ip() };
    let counts = Counts::default()
        .sum("resets", from.count(Class::Reset))
        .sum("syns_again", syns_again(flow));
    let Some(ttl) = from.reset_ttl() else { return counts };
    let counts = counts.max("reset_ttl", ttl.into());
    match context.compare_ttl(flow.tunnel, host, ttl) {
        TtlMatch::Other(other) | TtlMatch::OtherInitial(other) => {
            counts.max("other_ttl", other.into())
        }
        TtlMatch::InLine | TtlMatch::NoReference => counts,
    }
}

pub fn words(group: &Group<'_>, reset: Reset) -> Words {
    let service = group.service;
    let mut words = match reset {
        Reset::Refused { is_own } => refused_words(group, is_own),
        Reset::Forged => {
            let (host, port) = (service.ip(), service.port());
            let what = format!("Something in front of {host} answers SYNs to port {port} with RST");
            forged_words(group, what, "server")
        }
        Reset::ForgedLater(end) => {
            let name = if end == End::Client { "client" } else { "server" };
            let what = format!(
                "Something between this gateway and the {name} breaks open connections with RSTs \
                 in the {name}'s name"
            );
            forged_words(group, what, name)
        }
        Reset::ByGateway => gateway_words(group),
        Reset::Unheard => unheard_words(group),
    };
    words.filter = "(tcp.flags.reset == 1 || tcp.flags.syn == 1)".into();
    words
}

fn gateway_words(group: &Group<'_>) -> Words {
    let resets = many(group.counts.get("resets"), "RST");
    let ttl = group.counts.get("reset_ttl");
    Words {
        sentence: format!("This gateway's own firewall rejects SYNs to {} with RST", group.service),
        why: vec![
            format!("the SYNs came in and did not leave, and yet {resets} came back"),
            format!("the RST's time to live is {ttl}"),
        ],
        next: vec!["on this gateway: look for `reject with tcp reset` (`nft list ruleset`)".into()],
        ..Words::default()
    }
}

fn unheard_words(group: &Group<'_>) -> Words {
    let (resets, again) = (group.counts.get("resets"), group.counts.get("syns_again"));
    Words {
        sentence: "The client does not hear the RSTs: something on the way back to it drops them"
            .into(),
        why: vec![
            format!("{} came in the name of {}", many(resets, "RST"), group.service.ip()),
            format!("the client sent {} again nevertheless", many(again, "SYN")),
        ],
        next: vec![
            "between this gateway and the client: look for a firewall that drops RSTs".into(),
        ],
        ..Words::default()
    }
}

fn refused_words(group: &Group<'_>, is_own: bool) -> Words {
    let (host, port) = (group.service.ip(), group.service.port());
    let resets = many(group.counts.get("resets"), "RST");
    let evidence = match (is_own, group.confidence) {
        (true, _) => format!("{host} is this host itself"),
        (_, Confidence::Certain) => format!(
            "their time to live ({}) is that of the host's other packets: it sent them itself",
            group.counts.get("reset_ttl")
        ),
        _ => "no other packets of the host are known whose time to live could be compared: a \
              firewall that rejects with RST looks the same"
            .into(),
    };
    Words {
        sentence: format!(
            "Nothing listens on port {port} of {host}: the host answers SYNs with RST"
        ),
        why: vec![format!("{resets} to SYNs"), evidence],
        next: vec![format!(
            "on {host}: is the service running, and on this address (`ss -lnt 'sport = :{port}'`)?"
        )],
        ..Words::default()
    }
}

fn forged_words(group: &Group<'_>, sentence: String, name: &str) -> Words {
    let counts = group.counts;
    let mut why = vec![format!(
        "{} with a time to live of {}, while the {name}'s other packets have {}",
        many(counts.get("resets"), "RST"),
        counts.get("reset_ttl"),
        counts.get("other_ttl"),
    )];
    if group.confidence == Confidence::Possible {
        why.push(
            "but both may have come as many hops: some systems send RSTs with another initial time \
             to live"
                .into(),
        );
    }
    Words {
        sentence,
        why,
        next: vec![format!(
            "between this gateway and the {name}: firewalls, load balancers, intrusion prevention; \
             a capture at the {name} shows whether it sent the RST"
        )],
        ..Words::default()
    }
}
