//! Segments that were lost on one side of this gateway and sent again.

use capture_common::class::{Class, LossSide};

use super::{Cause, Group, Words, many, mtu, syns_again};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::Context,
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{End, FlowRecord},
};

/// Fewer are no finding: senders probe the end of their data once (tail loss probe, RFC 8985), and
/// a single loss happens everywhere.
const LEAST: u64 = 2;
/// Of a thousand segments so many must be sent again: below that, TCP hardly slows down even over
/// distance (RFC 3649, section 1), and any long transfer has some.
const LEAST_PER_MILLE: u64 = 1;
/// From here on it is no chance.
const MANY: u64 = 5;
/// A sender that learns of a smaller MTU sends again what is under way: an initial window (RFC
/// 6928) or two.
const RESENT_FOR_MTU: u64 = 20;

/// What is on one side by less than this part of what is on the other side is its by-product: a
/// sender that resends everything after a timeout resends what was not lost, too.
const MINOR: u64 = 4;

/// Whose segments were lost, and on which side of this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    from: End,
    is_upstream: bool,
}

pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    for end in [End::Client, End::Server] {
        let is_explained = cases.iter().any(|case| mtu::explains_loss(&case.kind.cause, end));
        if is_explained {
            continue;
        }
        let upstream = flow.from(end).lost(LossSide::Upstream);
        let downstream = lost_downstream(flow, end);
        for (is_upstream, lost, other) in
            [(true, upstream, downstream), (false, downstream, upstream)]
        {
            if is_worth(flow, end, lost) && lost * MINOR > other {
                cases.push(case(flow, context, Loss { from: end, is_upstream }, lost));
            }
        }
    }
}

/// Is it more than happens everywhere?
fn is_worth(flow: &FlowRecord, end: End, lost: u64) -> bool {
    let is_rare = lost < LEAST || lost * 1000 < flow.from(end).packets() * LEAST_PER_MILLE;
    let learns_mtu = flow.icmp.is_some_and(|icmp| mtu::is_report(&icmp, end));
    !(is_rare || learns_mtu && lost <= RESENT_FOR_MTU)
}

/// Retransmissions of what had passed here. The kernel counts SYNs and SYN-ACKs among them, which
/// say less: a client sends its SYN again because the answer was lost, and a server that holds back
/// until data comes (TCP_DEFER_ACCEPT) its SYN-ACK though nothing was lost.
fn lost_downstream(flow: &FlowRecord, end: End) -> u64 {
    let from = flow.from(end);
    let handshake = from.count(Class::SynRetransmission) + from.count(Class::SynAckRetransmission);
    let data = from.lost(LossSide::Downstream).saturating_sub(handshake);
    let answers = flow.from_server.syns().max(flow.from_server.syns_left());
    data + match end {
        // SYNs that were not answered.
        End::Client if answers > 0 => flow.from_client.syns().saturating_sub(answers),
        End::Client => 0,
        // SYN-ACKs that were not heard.
        End::Server => answers.saturating_sub(1).min(syns_again(flow)),
    }
}

fn case(flow: &FlowRecord, context: &Context<'_>, loss: Loss, lost: u64) -> Case {
    let (from, to) = (flow.from(loss.from), flow.from(loss.from.other()));
    let (verdict, network) = if loss.is_upstream {
        (Verdict::LossUpstream, loss.from)
    } else {
        (Verdict::LossDownstream, loss.from.other())
    };
    // The receiver's own duplicate ACKs tell of holes; without them only an ACK may have been lost.
    let says_receiver = to.count(Class::DuplicateAck) >= lost.min(MANY);
    let confidence = match (loss.is_upstream, lost) {
        (true, MANY..) => Confidence::Certain,
        (false, MANY..) if says_receiver => Confidence::Certain,
        (false, ..=LEAST) => Confidence::Possible,
        _ => Confidence::Likely,
    };
    let kind = Kind {
        verdict,
        side: Side::network(network),
        direction: Direction::from(loss.from),
        cause: Cause::Loss(loss),
    };
    let counts = Counts::default()
        .sum("retransmissions", lost)
        .sum("packets", from.packets())
        .sum("duplicate_acks", to.count(Class::DuplicateAck))
        .sum("fast_retransmissions", from.count(Class::FastRetransmission))
        .sum("spurious_retransmissions", from.count(Class::SpuriousRetransmission))
        .sum("unknown_side_retransmissions", from.lost(LossSide::Unknown))
        .sum("holes", from.count(Class::LostSegment));
    Case::new(flow, context, kind, confidence, counts)
}

pub fn words(group: &Group<'_>, loss: Loss) -> Words {
    let (sender, receiver) = match loss.from {
        End::Client => ("client", "server"),
        End::Server => ("server", "client"),
    };
    let stretch = if loss.is_upstream { sender } else { receiver };
    Words {
        sentence: if loss.is_upstream {
            format!("The {sender}'s segments get lost between the {sender} and this gateway")
        } else {
            format!("The {sender}'s segments get lost between this gateway and the {receiver}")
        },
        why: why(group, loss, receiver),
        next: vec![format!(
            "interfaces and queues between this gateway and the {stretch}: errors, drops, duplex, \
             Wi-Fi, a full link (`ip -s link`, `tc -s qdisc`, `mtr` from here)"
        )],
        filter: "(tcp.analysis.retransmission || tcp.analysis.lost_segment || \
                 tcp.analysis.duplicate_ack)"
            .into(),
    }
}

fn why(group: &Group<'_>, loss: Loss, receiver: &str) -> Vec<String> {
    let counts = group.counts;
    let (lost, packets) = (counts.get("retransmissions"), counts.get("packets"));
    let seen = if loss.is_upstream {
        "filled holes that were seen here"
    } else {
        "of segments that had passed here already"
    };
    let mut why = vec![format!(
        "{} {seen}: {} of {}",
        many(lost, "retransmission"),
        percent(lost, packets),
        many(packets, "packet")
    )];
    let duplicates = counts.get("duplicate_acks");
    if duplicates > 0 {
        why.push(format!(
            "the {receiver} sent {}: it waits for what is missing",
            many(duplicates, "duplicate ACK")
        ));
    } else if !loss.is_upstream {
        why.push(format!(
            "but no duplicate ACK: it may as well be the {receiver}'s ACKs that get lost on the \
             same stretch, or the {receiver} is gone"
        ));
    }
    why
}

/// With one decimal, and no more than all: the packets are those of the last connection between
/// these ports, retransmissions of all.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part >= whole {
        return "all".into();
    }
    let per_mille = part.saturating_mul(1000).div_ceil(whole);
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}
