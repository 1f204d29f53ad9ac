//! Records of conversations that the kernel's own functions have observed.

mod answers;
mod records;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use capture_common::flow::{
    Conversation, FlowKey, Seen, Segment, Sight, Trouble, TroubleKey, tcp_flags::*,
};
use capture_common::parse::{Packet, Quote};

use super::{Collector, FlowList, FlowQuery, FlowRecord, TimeBase};

const CLIENT: &str = "192.0.2.1:40000";
const SERVER: &str = "203.0.113.9:80";
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Milliseconds from the monotonic clock's zero to 1970.
const BOOT: i64 = 1_700_000_000_000;

/// Both tables, as the kernel would have them.
#[derive(Default)]
pub(super) struct World {
    conversations: HashMap<FlowKey, Conversation>,
    troubles: HashMap<TroubleKey, Trouble>,
}

fn octets(host: IpAddr) -> [u8; 16] {
    match host {
        IpAddr::V4(host) => host.to_ipv6_mapped().octets(),
        IpAddr::V6(host) => host.octets(),
    }
}

fn sight(millis: u64) -> Sight {
    Sight { now: millis * 1_000_000, ifindex: 1, frames: 1, bytes: 60, ttl: 64, ..Sight::default() }
}

/// A TCP segment without its ends: flags, sequence number, acknowledgment number, length.
type Header = (u8, u32, u32, u32);

impl World {
    /// A segment passes.
    pub(super) fn tcp(&mut self, from: &str, to: &str, header: Header, millis: u64) -> &mut Self {
        let (flags, sequence, acknowledgment, length) = header;
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let window = if flags & RST != 0 { 0 } else { 5000 };
        let segment =
            Segment { sequence, acknowledgment, length, window, flags, ..Segment::default() };
        let (key, side) = FlowKey::of(&Packet {
            source: octets(from.ip()),
            destination: octets(to.ip()),
            source_port: from.port(),
            destination_port: to.port(),
            ..Packet::default()
        });
        let mut seen = Seen::default();
        let conversation = self.conversations.entry(key).or_insert(Conversation::NEW);
        conversation.observe(side, &segment, &sight(millis), &mut seen);
        if seen.classes.is_trouble() {
            let key = TroubleKey { flow: key, protocol: TCP.into() };
            let trouble = self.troubles.entry(key).or_insert(Trouble::NEW);
            trouble.observe(side, &segment, &sight(millis), &mut seen);
        }
        self
    }

    /// A three-way handshake: the SYN at `millis`, the SYN-ACK 30 and the ACK 35 later.
    pub(super) fn handshake(&mut self, client: &str, server: &str, millis: u64) -> &mut Self {
        self.tcp(client, server, (SYN, 100, 0, 0), millis)
            .tcp(server, client, (SYN | ACK, 900, 101, 0), millis + 30)
            .tcp(client, server, (ACK, 101, 901, 0), millis + 35)
    }

    /// An ICMP error "port unreachable" passes, about a packet between two ends.
    pub(super) fn icmp(
        &mut self,
        sender: &str,
        (protocol, from, to): (u8, &str, &str),
        millis: u64,
    ) -> &mut Self {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let quote = Quote {
            source: octets(from.ip()),
            destination: octets(to.ip()),
            source_port: from.port(),
            destination_port: to.port(),
            protocol,
            ..Quote::default()
        };
        let message = Packet {
            source: octets(sender.parse().unwrap()),
            ip_version: 4,
            icmp_type: 3,
            icmp_code: 3,
            ttl: 63,
            quote,
            ..Packet::default()
        };
        let mut key = TroubleKey::default();
        let side = key.set_quoted(&message).unwrap();
        let trouble = self.troubles.entry(key).or_insert(Trouble::NEW);
        trouble.icmp_error(side, &message, &sight(millis));
        self
    }

    /// The flow table's entries are evicted.
    fn forget_conversations(&mut self) -> &mut Self {
        self.conversations.clear();
        self
    }

    pub(super) fn ask(&self, query: FlowQuery) -> FlowList {
        let mut collector = Collector::new(query, TimeBase { offset: BOOT * 1_000_000 });
        self.troubles.iter().for_each(|(key, trouble)| collector.trouble(key, trouble));
        for (key, conversation) in &self.conversations {
            collector.conversation(key, conversation);
        }
        collector.finish()
    }

    /// The only record.
    fn record(&self) -> FlowRecord {
        let list = self.ask(FlowQuery::default());
        assert_eq!((list.matched, list.flows.len()), (1, 1));
        list.flows[0]
    }
}
