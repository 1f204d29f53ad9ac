//! An ICMP error that the client does not react to: it goes on sending its SYN.

use super::super::{Cause, Group, Words, has_moved_on, many, syns_again};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::Context,
        message::{Meaning, Message},
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{End, FlowRecord},
};

/// An ICMP error that was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unheard {
    message: Message,
    /// It left this gateway.
    has_left: bool,
}

/// To be called for conversations with a refusal of the client's packets.
pub fn examine(flow: &FlowRecord, context: &Context<'_>, message: Message, cases: &mut Vec<Case>) {
    let Some(icmp) = flow.icmp.filter(|icmp| icmp.about == End::Client) else { return };
    let client = &flow.from_client;
    let again = syns_again(flow);
    // Only the last error's time is known; but each is about a SYN, so that between two of them the
    // client has sent another one.
    let goes_on = icmp.count > 1 || client.last_packet().is_some_and(|last| last > icmp.time);
    if !flow.is_tcp() || has_moved_on(client) || again == 0 || !goes_on {
        return;
    }
    let has_left = icmp.left > 0;
    // An error that came in by one interface and left by none, while SYNs do leave, was dropped
    // here.
    let is_dropped_here = !has_left && client.syns_left() > 0 && flow.tunnel == 0;
    let (verdict, side) = if is_dropped_here {
        (Verdict::DroppedByGateway, Side::Gateway)
    } else {
        (Verdict::AnswerLostToClient, Side::ClientNetwork)
    };
    let is_soft = matches!(message.meaning(), Meaning::NoWay | Meaning::TimeExceeded);
    let confidence = match (is_soft, has_left || is_dropped_here) {
        (false, true) => Confidence::Likely,
        _ => Confidence::Possible,
    };
    let cause = Cause::Unheard(Unheard { message, has_left });
    let kind = Kind { verdict, side, direction: Direction::ServerToClient, cause };
    let counts = Counts::default()
        .sum("icmp_errors", icmp.count.into())
        .sum("icmp_errors_left", icmp.left.into())
        .sum("syns_again", again);
    cases.push(Case::new(flow, context, kind, confidence, counts));
}

pub fn words(group: &Group<'_>, unheard: Unheard) -> Words {
    let Unheard { message, has_left } = unheard;
    let (left, again) = (group.counts.get("icmp_errors_left"), group.counts.get("syns_again"));
    let (sentence, first, next) = if has_left {
        (
            format!(
                "The client does not hear {message}, though it left this gateway: the way back to \
                 the client drops ICMP"
            ),
            format!("{} left this gateway towards the client", many(left, "ICMP error")),
            "between this gateway and the client: look for a firewall that drops ICMP, the \
             client's own included (compare with a capture there)",
        )
    } else {
        (
            format!("{message} for the client came to this gateway and did not leave it"),
            "the ICMP error was seen coming in and not leaving, while SYNs of the same \
             conversation do leave (NAT on this gateway could also hide that it left)"
                .into(),
            "on this gateway: does its firewall drop forwarded ICMP (`nft list ruleset`)?",
        )
    };
    let mut why = vec![first, format!("the client sent {} again nevertheless", many(again, "SYN"))];
    if matches!(message.meaning(), Meaning::NoWay | Meaning::TimeExceeded) {
        why.push("but some systems go on trying after such a message (RFC 1122, 4.2.3.9)".into());
    }
    Words {
        sentence,
        why,
        next: vec![next.into()],
        filter: format!("({} || tcp.flags.syn == 1)", message.protocol()),
    }
}
