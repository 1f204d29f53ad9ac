//! ICMP errors: somebody says that a packet does not reach its destination.

pub mod unheard;

use std::net::IpAddr;

pub use unheard::Unheard;

use super::{Cause, Group, Words, has_moved_on, many, syns_again};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::{Context, TtlMatch},
        message::{Meaning, Message},
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{End, ErrorOrigin, FlowRecord, FlowState, IcmpRecord},
};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where traceroute sends its probes by default: it lives on "time exceeded" and "port
/// unreachable".
const TRACEROUTE_PORTS: std::ops::RangeInclusive<u16> = 33_434..=33_534;
/// Ports from here on are those that systems give to clients (Linux: 32768 on, RFC 6335: 49152 on).
const EPHEMERAL_PORTS: u16 = 32_768;

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refuser {
    /// The host that the packets are for, which may be this one.
    Host {
        is_own: bool,
    },
    Hop,
    Gateway,
}

/// A refusal by ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    sender: IpAddr,
    message: Message,
    by: Refuser,
    /// Whose packets are refused.
    about: End,
}

pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    let Some(icmp) = flow.icmp.filter(|icmp| context.question.is_recent(icmp.time)) else {
        return;
    };
    let message = Message { ip_version: icmp.ip_version, kind: icmp.kind, code: icmp.code };
    if !is_refusal(flow, &icmp, message) || is_overcome(flow, &icmp) {
        return;
    }
    let by = refuser(&icmp, context);
    let (verdict, side) = match by {
        Refuser::Host { .. } => (Verdict::HostRejects, Side::host(icmp.about.other())),
        Refuser::Hop => (Verdict::HopRejects, Side::network(icmp.about.other())),
        Refuser::Gateway => (Verdict::DroppedByGateway, Side::Gateway),
    };
    let cause = Cause::Refusal(Refusal { sender: icmp.sender, message, by, about: icmp.about });
    let kind = Kind { verdict, side, direction: Direction::from(icmp.about), cause };
    let counts = Counts::default()
        .sum("icmp_errors", icmp.count.into())
        .sum("icmp_errors_left", icmp.left.into())
        .sum("syns", flow.from_client.syns())
        .sum("syns_again", syns_again(flow));
    let confidence = match by {
        Refuser::Host { is_own: false } if is_impostor(flow, &icmp, context) => Confidence::Likely,
        _ => Confidence::Certain,
    };
    cases.push(Case::new(flow, context, kind, confidence, counts));
    unheard::examine(flow, context, message, cases);
}

/// Is it about a conversation that cannot go on because of it?
fn is_refusal(flow: &FlowRecord, icmp: &IcmpRecord, message: Message) -> bool {
    match message.meaning() {
        Meaning::Refused if message.is_port_unreachable() => {
            !is_traceroute(flow) && !is_late_answer(flow, icmp)
        }
        Meaning::Refused | Meaning::NoWay => true,
        // One packet whose time to live ran out is a traceroute, not a loop.
        Meaning::TimeExceeded => icmp.count > 1 && !is_traceroute(flow),
        Meaning::TooBig | Meaning::Other => false,
    }
}

fn is_traceroute(flow: &FlowRecord) -> bool {
    match flow.protocol {
        1 | 58 => true, // Echo requests, as of mtr.
        UDP => TRACEROUTE_PORTS.contains(&flow.server.port()),
        _ => false,
    }
}

/// An answer by UDP that came when the client no longer waited for it. The sender of the packet
/// that was refused is taken for the client, so that here the ends are the wrong way round.
fn is_late_answer(flow: &FlowRecord, icmp: &IcmpRecord) -> bool {
    let (asks, asked) = (flow.client.port(), flow.server.port());
    flow.protocol == UDP
        && icmp.origin == ErrorOrigin::Server
        && asks < asked
        && (asks < 1024 || asked >= EPHEMERAL_PORTS)
}

/// Did packets pass all the same, after the error or on both ways to the end?
fn is_overcome(flow: &FlowRecord, icmp: &IcmpRecord) -> bool {
    if flow.state == FlowState::Quoted {
        return false;
    }
    let (sender, receiver) = (flow.from(icmp.about), flow.from(icmp.about.other()));
    let is_closed = sender.is_finished() && receiver.is_finished()
        || sender.has_reset()
        || receiver.has_reset();
    let is_answered = match icmp.about {
        End::Client => receiver.syns() > 0 || receiver.packets() > 0,
        End::Server => has_moved_on(receiver),
    };
    is_answered && (is_closed || receiver.last_packet().is_some_and(|last| last > icmp.time))
}

fn refuser(icmp: &IcmpRecord, context: &Context<'_>) -> Refuser {
    let is_own = context.is_own(icmp.sender);
    match (icmp.origin, icmp.about) {
        (ErrorOrigin::Server, End::Client) | (ErrorOrigin::Client, End::Server) => {
            Refuser::Host { is_own }
        }
        _ if is_own => Refuser::Gateway,
        _ => Refuser::Hop,
    }
}

/// Has the message come from somewhere else than the host's other packets?
fn is_impostor(flow: &FlowRecord, icmp: &IcmpRecord, context: &Context<'_>) -> bool {
    matches!(context.compare_ttl(flow.tunnel, icmp.sender, icmp.ttl), TtlMatch::Other(_))
}

pub fn words(group: &Group<'_>, refusal: Refusal) -> Words {
    let counts = group.counts;
    let Refusal { sender, message, .. } = refusal;
    let mut why = vec![format!(
        "{} from {sender} about packets {}",
        match counts.get("icmp_errors") {
            1 => format!("1 {message}"),
            count => format!("{} times {message}", super::grouped(count)),
        },
        Direction::from(refusal.about).name(),
    )];
    why.push(match refusal.by {
        Refuser::Host { is_own: true } => format!("{sender} is this host itself"),
        Refuser::Host { .. } => format!("{sender} is the very host that the packets are for"),
        Refuser::Hop => format!("{sender} is neither end of the conversation, but a hop between"),
        Refuser::Gateway => format!("{sender} is an address of this gateway"),
    });
    if matches!(refusal.by, Refuser::Host { .. }) && group.confidence != Confidence::Certain {
        why.push(
            "but the message's time to live is not that of the host's other packets: a device in \
             between may speak in its name"
                .into(),
        );
    }
    if counts.get("syns_again") > 0 {
        why.push(format!("clients sent {} again", many(counts.get("syns_again"), "SYN")));
    }
    Words {
        sentence: sentence(group, refusal),
        why,
        next: next(group, refusal),
        filter: filter(group, message),
    }
}

/// Of TCP what the error is about; of others all, for there is nothing to tell it by.
fn filter(group: &Group<'_>, message: Message) -> String {
    if group.protocol == TCP {
        format!("({} || tcp.flags.syn == 1)", message.protocol())
    } else {
        String::new()
    }
}

fn sentence(group: &Group<'_>, refusal: Refusal) -> String {
    let Refusal { sender, message, by, about } = refusal;
    let what = match about {
        End::Client => format!("packets to {}", group.service),
        End::Server => format!("answers of {}", group.service),
    };
    let is_loop = message.meaning() == Meaning::TimeExceeded;
    match by {
        Refuser::Host { .. } if message.is_port_unreachable() && group.protocol == UDP => format!(
            "The host {sender} refuses {what} with {message}: nothing listens on the UDP port, or \
             its firewall rejects"
        ),
        Refuser::Host { .. } if about == End::Client => format!(
            "The firewall of {sender} rejects packets to port {} with {message}",
            group.service.port()
        ),
        Refuser::Host { .. } => {
            format!("The firewall of the client {sender} rejects {what} with {message}")
        }
        Refuser::Gateway if message.is_host_unreachable() => format!(
            "This gateway ({sender}) rejects {what} with {message}: the next host does not answer \
             ARP or neighbour discovery, or a rule of this gateway's firewall says so"
        ),
        Refuser::Gateway => {
            format!("This gateway itself ({sender}) rejects {what} with {message}")
        }
        Refuser::Hop if is_loop => {
            format!("The {what} go in circles, or too far: the router {sender} says {message}")
        }
        Refuser::Hop => format!("The router {sender} rejects {what} with {message}"),
    }
}

fn next(group: &Group<'_>, refusal: Refusal) -> Vec<String> {
    let sender = refusal.sender;
    let step = match refusal.by {
        Refuser::Host { .. } if refusal.about == End::Client => format!(
            "on {sender}: look for a reject rule (`nft list ruleset`), and whether a process \
             listens on port {} (`ss -lntu`)",
            group.service.port()
        ),
        Refuser::Host { .. } => format!("on {sender}: look for a reject rule (`nft list ruleset`)"),
        Refuser::Gateway => {
            "on this gateway: `nft list ruleset`, `ip route get`, `ip neigh`".into()
        }
        Refuser::Hop if refusal.message.meaning() == Meaning::TimeExceeded => {
            format!(
                "`traceroute` from this gateway: the same routers again and again are a loop; look \
                 at the routes of {sender}"
            )
        }
        Refuser::Hop => format!("on {sender} or with whoever runs it: its routes and access lists"),
    };
    vec![step]
}
