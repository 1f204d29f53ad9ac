//! What all the other conversations tell about one.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use super::question::Question;
use crate::flows::{DirectionRecord, End, FlowRecord};

/// Times to live may differ by this much and still be of one sender: paths change, and of several
/// paths to it one may be longer.
const TTL_TOLERANCE: u8 = 3;
/// What senders start with.
const INITIAL_TTLS: [u8; 3] = [64, 128, 255];

/// A set of times to live.
#[derive(Clone, Copy, Debug, Default)]
struct TtlSet([u64; 4]);

impl TtlSet {
    fn insert(&mut self, ttl: u8) {
        self.0[usize::from(ttl >> 6)] |= 1 << (ttl & 63);
    }

    fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |ttl| self.0[usize::from(ttl >> 6)] >> (ttl & 63) & 1 != 0)
    }
}

/// An address, and the tunnel that it is in: tunnels may have the same addresses.
type Host = (u32, IpAddr);

/// What is known of a host.
#[derive(Clone, Copy, Debug, Default)]
struct HostFacts {
    /// Of its segments, RSTs aside.
    ttls: TtlSet,
    /// It has answered as a server, on this port.
    answers_on: Option<u16>,
    /// It has answered on other ports as well.
    answers_on_others: bool,
    /// SYNs to it were seen leaving.
    syns_left: bool,
    /// It answered although no SYN to it was seen leaving.
    answered_unseen: bool,
}

/// Would a SYN to some host have been seen as it left?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Leaving {
    /// Yes: others were.
    Seen,
    /// Others, to other hosts, were: the way to this one may lead over another interface.
    SeenElsewhere,
    /// Nothing was seen leaving: nothing tells.
    Unknown,
    /// No: the host has answered SYNs that were not seen leaving. NAT, an interface that is not
    /// captured, or no gateway at all but a mirror port.
    Unseen,
}

/// How a time to live compares with those of a host's other packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TtlMatch {
    /// There are none to compare with.
    NoReference,
    /// The same, give or take a few hops.
    InLine,
    /// Another, and so is the number of hops; the nearest of the others.
    Other(u8),
    /// Another, but the number of hops may be the same: another initial value; the nearest of the
    /// others.
    OtherInitial(u8),
}

/// The question, and what the whole table tells.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub question: &'a Question,
    own: HashSet<IpAddr>,
    hosts: HashMap<Host, HostFacts>,
    forwards: bool,
}

impl<'a> Context<'a> {
    pub fn new(flows: &[FlowRecord], question: &'a Question) -> Self {
        let own: HashSet<IpAddr> =
            question.own_addresses.iter().map(|address| address.to_canonical()).collect();
        let mut context = Self { question, own, hosts: HashMap::new(), forwards: false };
        for flow in flows.iter().filter(|flow| flow.is_tcp()) {
            context.learn(flow);
        }
        context
    }

    fn learn(&mut self, flow: &FlowRecord) {
        let is_forwarded = !self.is_own(flow.client.ip()) && !self.is_own(flow.server.ip());
        let left = flow.from_client.syns_left() > 0;
        self.forwards |= is_forwarded && left;
        for (end, address) in [(End::Client, flow.client.ip()), (End::Server, flow.server.ip())] {
            if let Some(ttl) = flow.from(end).ttl() {
                self.hosts.entry((flow.tunnel, address)).or_default().ttls.insert(ttl);
            }
        }
        let server = self.hosts.entry((flow.tunnel, flow.server.ip())).or_default();
        let answers = flow.from_server.syns().max(flow.from_server.syns_left()) > 0;
        if answers {
            server.answers_on_others |=
                server.answers_on.is_some_and(|port| port != flow.server.port());
            server.answers_on.get_or_insert(flow.server.port());
        }
        server.syns_left |= left;
        server.answered_unseen |= is_forwarded && answers && flow.from_client.syns() > 0 && !left;
    }

    /// Is it an address of this gateway?
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }

    /// Would a SYN of this conversation have been seen as it left?
    pub fn leaving(&self, flow: &FlowRecord) -> Leaving {
        let facts = self.server(flow);
        if facts.answered_unseen {
            Leaving::Unseen
        } else if facts.syns_left {
            Leaving::Seen
        } else if self.forwards {
            Leaving::SeenElsewhere
        } else {
            Leaving::Unknown
        }
    }

    /// Has the server's host answered through this gateway, on another port?
    pub fn answers_elsewhere(&self, flow: &FlowRecord) -> bool {
        let facts = self.server(flow);
        facts.answers_on_others || facts.answers_on.is_some_and(|port| port != flow.server.port())
    }

    /// Has this service answered others through this gateway?
    pub fn answers_others(&self, flow: &FlowRecord) -> bool {
        self.server(flow).answers_on == Some(flow.server.port())
    }

    /// Compares a time to live with those of all that a host sent, RSTs aside.
    pub fn compare_ttl(&self, tunnel: u32, host: IpAddr, ttl: u8) -> TtlMatch {
        let known = self.hosts.get(&(tunnel, host)).map(|facts| facts.ttls).unwrap_or_default();
        match known.iter().min_by_key(|other| other.abs_diff(ttl)) {
            None => TtlMatch::NoReference,
            Some(other) if other.abs_diff(ttl) <= TTL_TOLERANCE => TtlMatch::InLine,
            Some(other) if hops(other).abs_diff(hops(ttl)) <= TTL_TOLERANCE => {
                TtlMatch::OtherInitial(other)
            }
            Some(other) => TtlMatch::Other(other),
        }
    }

    fn server(&self, flow: &FlowRecord) -> HostFacts {
        self.hosts.get(&(flow.tunnel, flow.server.ip())).copied().unwrap_or_default()
    }
}

/// How many hops a packet with this time to live has come, if it started with a usual one.
fn hops(ttl: u8) -> u8 {
    INITIAL_TTLS.iter().find(|initial| **initial >= ttl).map_or(0, |initial| initial - ttl)
}

/// Is it one that a sender starts with, so that there was no router on the way?
pub(super) fn is_initial_ttl(ttl: u8) -> bool {
    INITIAL_TTLS.contains(&ttl)
}

/// Has the client sent more than SYNs? Then it has got its answer, by whatever way.
pub(super) fn has_moved_on(client: &DirectionRecord) -> bool {
    /// SYNs are counted no further.
    const MOST_SYNS: u64 = 255;
    client.packets() > client.syns() && client.syns() < MOST_SYNS
}
