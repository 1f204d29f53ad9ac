//! The server answers, and the client does not take note of it.

use super::{Cause, Group, Words, many, syns_again, unknown_leavers};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::Context,
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::FlowRecord,
};

/// What became of the SYN-ACKs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handshake {
    /// They left this gateway.
    Left,
    /// Nothing tells.
    Untracked,
    /// They came to this gateway and did not leave.
    DroppedHere,
}

/// A conversation with SYN and SYN-ACK, whose client has sent nothing but SYNs.
pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    let (client, server) = (&flow.from_client, &flow.from_server);
    let answers = server.syns().max(server.syns_left());
    let goes_on = server.syns() == 0 || client.last_packet() > server.last_packet();
    let is_stuck = answers > 1 || client.syns() > 1 && goes_on;
    if !is_stuck {
        return; // It was answered just now, or the client has gone.
    }
    let ends_here = context.is_own(flow.client.ip());
    let handshake = if server.syns_left() > 0 {
        Handshake::Left
    } else if flow.tunnel == 0 && (client.syns_left() > 0 || ends_here) {
        Handshake::DroppedHere
    } else {
        Handshake::Untracked
    };
    let (verdict, side) = match handshake {
        Handshake::DroppedHere => (Verdict::DroppedByGateway, Side::Gateway),
        _ => (Verdict::AnswerLostToClient, Side::ClientNetwork),
    };
    let kind = Kind {
        verdict,
        side,
        direction: Direction::ServerToClient,
        cause: Cause::Handshake(handshake),
    };
    let counts = Counts::default()
        .sum("syns", client.syns())
        .sum("syns_again", syns_again(flow))
        .sum("syn_acks", answers)
        .sum("syn_acks_left", server.syns_left());
    cases.push(Case::new(flow, context, kind, confidence(flow, context, handshake), counts));
}

fn confidence(flow: &FlowRecord, context: &Context<'_>, handshake: Handshake) -> Confidence {
    let again = syns_again(flow);
    match handshake {
        Handshake::Untracked => Confidence::Possible,
        // Only the server tries again: the client may be gone, or never have been (SYN flood).
        _ if again == 0 => Confidence::Possible,
        Handshake::DroppedHere if context.question.syns_left_unknown > 0 => Confidence::Possible,
        Handshake::DroppedHere => Confidence::Likely,
        Handshake::Left if again > 1 && flow.from_server.syns_left() > 1 => Confidence::Certain,
        Handshake::Left => Confidence::Likely,
    }
}

pub fn words(group: &Group<'_>, handshake: Handshake) -> Words {
    let counts = group.counts;
    let (answers, left) = (counts.get("syn_acks"), counts.get("syn_acks_left"));
    let again = counts.get("syns_again");
    let mut why = vec![format!(
        "{} answered, {} left this gateway towards the client",
        many(answers, "SYN-ACK"),
        super::grouped(left),
    )];
    why.push(if again > 0 {
        format!("the client sent {} again as if there had been none", many(again, "SYN"))
    } else {
        "the client sent nothing more: it may be gone, or its address may be forged (a SYN flood), \
         or its ACK was lost before this gateway"
            .into()
    });
    if handshake == Handshake::DroppedHere {
        why.extend(unknown_leavers(group));
    }
    let (sentence, next) = sentence(group, handshake);
    Words { sentence, why, next: vec![next.into()], filter: "tcp.flags.syn == 1".into() }
}

/// And what to look at next.
fn sentence(group: &Group<'_>, handshake: Handshake) -> (String, &'static str) {
    let service = group.service;
    match handshake {
        Handshake::DroppedHere => (
            format!("This gateway drops the SYN-ACKs of {service}"),
            "on this gateway: `nft list ruleset` (connection tracking that takes the SYN-ACK for \
             invalid?), the route to the client, reverse path filter",
        ),
        Handshake::Left => (
            format!(
                "{service} answers, and its SYN-ACKs get lost between this gateway and the client"
            ),
            "between this gateway and the client: a firewall that saw no SYN (asymmetric routing), \
             or loss; a capture at the client shows whether the SYN-ACK arrives",
        ),
        Handshake::Untracked => (
            format!(
                "{service} answers, and its SYN-ACKs get lost in this gateway or between it and \
                 the client"
            ),
            "capture on the interface towards the client as well: do the SYN-ACKs leave?",
        ),
    }
}
