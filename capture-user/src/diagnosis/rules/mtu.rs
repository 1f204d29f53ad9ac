//! Large segments that vanish while small ones pass.

use std::net::IpAddr;

use super::{Cause, Group, Words, many};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::Context,
        message::{Meaning, Message},
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{DirectionRecord, End, FlowRecord, IcmpRecord},
};

/// Bytes of payload that any IPv4 link takes: 576 less 40 of headers (RFC 791, RFC 9293, section
/// 3.7.1). Segments up to this length are "small".
const SMALL: u16 = 536;
/// So often in a row the same segment must have been sent again: a second time happens by chance.
const LEAST: u16 = 3;

/// How a sender could have learned of the MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Report {
    /// By an ICMP error that left this gateway towards it.
    Left { sender: IpAddr, is_own: bool },
    /// By an ICMP error that was not seen leaving this gateway.
    Stays { sender: IpAddr },
    /// By nothing that was seen here.
    None,
}

/// Whose large segments vanish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtu {
    from: End,
    report: Report,
}

/// Does it explain that segments of this end are sent again?
pub fn explains_loss(cause: &Cause, end: End) -> bool {
    matches!(cause, Cause::Mtu(mtu) if mtu.from == end)
}

/// Does it tell this end of a smaller MTU?
pub fn is_report(icmp: &IcmpRecord, end: End) -> bool {
    let message = Message { ip_version: icmp.ip_version, kind: icmp.kind, code: icmp.code };
    icmp.about == end && message.meaning() == Meaning::TooBig
}

pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    for end in [End::Client, End::Server] {
        let (from, to) = (flow.from(end), flow.from(end.other()));
        let (times, length) = from.most_resent();
        if times < LEAST || length <= SMALL || !is_stuck(from, length) {
            continue;
        }
        let icmp = flow.icmp.filter(|icmp| is_report(icmp, end));
        let report = report(icmp.as_ref(), context);
        // The receiver is there: it went on sending after the data that it does not acknowledge.
        let is_alive = to.last_packet() > from.last_rise();
        let (side, confidence) = match report {
            Report::Left { .. } => (Side::network(end), Confidence::Certain),
            Report::Stays { .. } => (Side::Gateway, Confidence::Likely),
            Report::None if is_alive => (Side::network(end.other()), Confidence::Likely),
            Report::None => (Side::network(end.other()), Confidence::Possible),
        };
        let kind = Kind {
            verdict: Verdict::MtuBlackHole,
            side,
            direction: Direction::from(end),
            cause: Cause::Mtu(Mtu { from: end, report }),
        };
        let counts = Counts::default()
            .max("most_resent", times.into())
            .max("segment_bytes", length.into())
            .max("mtu", icmp.map_or(0, |icmp| icmp.mtu.into()))
            .sum("too_big_errors", icmp.map_or(0, |icmp| icmp.count.into()))
            .sum("receiver_alive", u64::from(is_alive));
        cases.push(Case::new(flow, context, kind, confidence, counts));
    }
}

fn report(icmp: Option<&IcmpRecord>, context: &Context<'_>) -> Report {
    match icmp {
        Some(icmp) if icmp.left > 0 => {
            Report::Left { sender: icmp.sender, is_own: context.is_own(icmp.sender) }
        }
        Some(icmp) => Report::Stays { sender: icmp.sender },
        None => Report::None,
    }
}

/// Is there data that is not acknowledged, and was nothing of this size acknowledged before? That
/// is so if the acknowledged bytes come to less than half of it for each packet that was sent.
fn is_stuck(from: &DirectionRecord, length: u16) -> bool {
    let acknowledged = u64::from(from.acknowledged());
    let first_time = from.packets().saturating_sub(from.retransmissions()).max(1);
    acknowledged > 0
        && acknowledged < u64::from(from.sent())
        && acknowledged * 2 < first_time * u64::from(length)
}

pub fn words(group: &Group<'_>, mtu: Mtu) -> Words {
    let counts = group.counts;
    let (sender, receiver) = match mtu.from {
        End::Client => ("client", "server"),
        End::Server => ("server", "client"),
    };
    let mut why = vec![format!(
        "a segment of {} bytes was sent again {} times in a row and never acknowledged, while \
         smaller ones were",
        counts.get("segment_bytes"),
        counts.get("most_resent"),
    )];
    let next = match mtu.report {
        Report::Left { sender: hop, is_own } => {
            let whose = if is_own { " (this gateway)" } else { "" };
            why.push(format!(
                "{}; that left this gateway, and the {sender} does not act on it or does not get \
                 it",
                reported(group, &format!("{hop}{whose}"), sender),
            ));
            format!(
                "between this gateway and the {sender}: a firewall that drops ICMP, the {sender}'s \
                 own included"
            )
        }
        Report::Stays { sender: hop } => {
            let what = reported(group, &hop.to_string(), sender);
            why.push(format!("{what}; that was not seen leaving this gateway"));
            "on this gateway: does its firewall drop forwarded ICMP (`nft list ruleset`)?".into()
        }
        Report::None => {
            unreported(group, receiver, &mut why);
            format!(
                "the MTU of the way to the {receiver}, tunnels and PPPoE above all (`ping -M do -s \
                 1472` from here); clamping the MSS on this gateway helps meanwhile"
            )
        }
    };
    Words {
        sentence: format!(
            "Large packets from the {sender} do not reach the {receiver}, small ones do: an MTU \
             black hole"
        ),
        why,
        next: vec![next],
        filter: "(tcp.analysis.retransmission || (icmp.type == 3 && icmp.code == 4) || \
                 icmpv6.type == 2)"
            .into(),
    }
}

/// What a hop said of the sender's packets.
fn reported(group: &Group<'_>, hop: &str, sender: &str) -> String {
    let stated = match group.counts.get("mtu") {
        0 => "without stating the MTU".into(),
        mtu => format!("stating an MTU of {mtu} bytes"),
    };
    let times = many(group.counts.get("too_big_errors"), "time");
    format!("{hop} said {times} that the {sender}'s packets are too big, {stated}")
}

fn unreported(group: &Group<'_>, receiver: &str, why: &mut Vec<String>) {
    why.push(
        "no \"fragmentation needed\" or \"packet too big\" was seen: ICMP is filtered, or the link \
         drops without a word"
            .into(),
    );
    if group.counts.get("receiver_alive") == 0 {
        why.push(format!("but the {receiver} sent nothing more: it may be gone"));
    }
}
