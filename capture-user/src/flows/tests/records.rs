//! Who is the client, how far a conversation has come, how far away its ends are, who sent an error.

use std::time::Duration;

use capture_common::class::{Class, LossSide};

use super::*;
use crate::flows::{End, ErrorOrigin, FlowState};

fn ends(record: &FlowRecord) -> (String, String) {
    (record.client.to_string(), record.server.to_string())
}

fn unix(millis: i64) -> i64 {
    (BOOT + millis) * 1_000_000
}

/// Both orders of the two ends in the key.
const PAIRS: [(&str, &str); 4] = [
    (CLIENT, SERVER),
    ("203.0.113.9:40000", "192.0.2.1:80"),
    ("[2001:db8::2]:7", "[2001:db8::1]:40000"),
    ("[2001:db8::1]:7", "[2001:db8::2]:40000"),
];

#[test]
fn who_sent_the_syn_is_the_client_whatever_the_ports() {
    for (client, server) in PAIRS {
        let named = (client.to_owned(), server.to_owned());
        let mut syn = World::default();
        syn.tcp(client, server, (SYN, 1, 0, 0), 1000);
        assert_eq!(ends(&syn.record()), named);
        // The SYN itself passed elsewhere.
        let mut answer = World::default();
        answer.tcp(server, client, (SYN | ACK, 1, 2, 0), 1000);
        assert_eq!(ends(&answer.record()), named);
        // The ports are used again, which counts from the start.
        let record = syn.handshake(client, server, 5000).record();
        assert_eq!(ends(&record), named);
        assert_eq!(record.from_client.packets(), 2);
        assert_eq!(record.from(End::Server).packets(), 1);
        assert_eq!(record.from_server.syns(), 1);
    }
}

#[test]
fn without_a_syn_the_higher_port_is_the_clients() {
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let mut world = World::default();
        let record = world.tcp(from, to, (ACK, 500, 600, 10), 1000).record();
        assert_eq!(ends(&record), (CLIENT.into(), SERVER.into()));
        assert_eq!(record.state, FlowState::MidStream);
        assert_eq!((record.client_rtt, record.server_rtt), (None, None));
    }
}

#[test]
fn states_follow_the_conversation() {
    let mut world = World::default();
    let mut state = |from, to, header, millis| {
        world.tcp(from, to, header, millis);
        world.record().state
    };
    assert_eq!(state(CLIENT, SERVER, (SYN, 100, 0, 0), 1000), FlowState::Unanswered);
    assert_eq!(state(SERVER, CLIENT, (SYN | ACK, 900, 101, 0), 1030), FlowState::HalfOpen);
    assert_eq!(state(CLIENT, SERVER, (ACK, 101, 901, 0), 1035), FlowState::Established);
    assert_eq!(state(SERVER, CLIENT, (ACK, 901, 101, 50), 1040), FlowState::Established);
    assert_eq!(state(SERVER, CLIENT, (FIN | ACK, 951, 101, 0), 1050), FlowState::Finished);
    assert_eq!(state(CLIENT, SERVER, (RST, 101, 0, 0), 1060), FlowState::Reset);

    let mut refused = World::default();
    refused.tcp(CLIENT, SERVER, (SYN, 100, 0, 0), 1000);
    let record = refused.tcp(SERVER, CLIENT, (RST | ACK, 0, 101, 0), 1030).record();
    assert_eq!(record.state, FlowState::Refused);
    assert_eq!(record.from_server.count(Class::Reset), 1);
    assert!(!record.from_server.is_window_closed());
    assert_eq!((record.from_server.reset_ttl(), record.from_server.ttl()), (Some(64), None));
}

#[test]
fn what_began_unseen_ends_seen() {
    for (flags, state) in [(FIN, FlowState::Finished), (RST, FlowState::Reset)] {
        let mut world = World::default();
        world.tcp(CLIENT, SERVER, (ACK, 500, 600, 10), 1000);
        let record = world.tcp(SERVER, CLIENT, (flags | ACK, 600, 510, 0), 1030).record();
        assert_eq!(record.state, state);
    }
}

#[test]
fn the_handshake_tells_the_distance_to_each_end() {
    let mut world = World::default();
    let record = world.handshake(CLIENT, SERVER, 1000).record();
    assert_eq!(record.server_rtt, Some(Duration::from_millis(30)));
    assert_eq!(record.client_rtt, Some(Duration::from_millis(5)));
    assert_eq!((record.first, record.last), (unix(1000), unix(1035)));
    assert_eq!(record.trouble, None);

    // Before the ACK, nothing is known of the client; after a second SYN, of neither.
    let mut half = World::default();
    half.tcp(CLIENT, SERVER, (SYN, 100, 0, 0), 1000);
    let record = half.tcp(SERVER, CLIENT, (SYN | ACK, 900, 101, 0), 1030).record();
    assert_eq!(record.server_rtt, Some(Duration::from_millis(30)));
    assert_eq!(record.client_rtt, None);
    let mut twice = World::default();
    twice.tcp(CLIENT, SERVER, (SYN, 100, 0, 0), 1000);
    let record = twice.handshake(CLIENT, SERVER, 2000).record();
    assert_eq!((record.client_rtt, record.server_rtt), (None, None));
    assert_eq!(record.from_client.count(Class::SynRetransmission), 1);
    assert_eq!(record.trouble, Some((unix(2000), unix(2000))));
}

#[test]
fn what_is_sent_again_counts_for_its_sender_and_side() {
    let mut world = World::default();
    world.handshake(CLIENT, SERVER, 1000);
    world.tcp(SERVER, CLIENT, (ACK, 901, 101, 100), 1100);
    // Seen, and sent again: lost behind the gateway.
    world.tcp(SERVER, CLIENT, (ACK, 901, 101, 100), 1500);
    // Missing, and sent again: lost before it.
    world.tcp(SERVER, CLIENT, (ACK, 1101, 101, 100), 1510);
    let record = world.tcp(SERVER, CLIENT, (ACK, 1001, 101, 100), 1800).record();
    let server = record.from_server;
    assert_eq!(server.retransmissions(), 2);
    let sides = LossSide::ALL.map(|side| server.lost(side));
    assert_eq!(sides, [1, 1, 0], "upstream, downstream, unknown");
    assert_eq!(server.count(Class::LostSegment), 1);
    assert_eq!(record.from_client.retransmissions(), 0);
    assert_eq!((server.sent(), server.acknowledged()), (301, 1));
    assert_eq!(record.trouble, Some((unix(1500), unix(1800))));
}

#[test]
fn errors_come_from_the_server_a_hop_or_the_client() {
    let refused = |sender, quoted| {
        let mut world = World::default();
        world.tcp(CLIENT, SERVER, (SYN, 100, 0, 0), 1000);
        world.icmp(sender, quoted, 1030);
        let record = world.record();
        assert_eq!(ends(&record), (CLIENT.into(), SERVER.into()));
        assert_eq!(record.state, FlowState::Unanswered);
        assert_eq!((record.last, record.trouble), (unix(1030), Some((unix(1030), unix(1030)))));
        record.icmp.unwrap()
    };
    let there = (TCP, CLIENT, SERVER);
    let icmp = refused("203.0.113.9", there);
    assert_eq!((icmp.origin, icmp.about), (ErrorOrigin::Server, End::Client));
    assert_eq!((icmp.kind, icmp.code, icmp.count, icmp.left, icmp.ttl), (3, 3, 1, 0, 63));
    assert_eq!(icmp.time, unix(1030));
    assert_eq!(refused("198.51.100.1", there).origin, ErrorOrigin::Hop);
    let icmp = refused("192.0.2.1", (TCP, SERVER, CLIENT));
    assert_eq!((icmp.origin, icmp.about), (ErrorOrigin::Client, End::Server));
}

#[test]
fn what_is_only_quoted_was_asked_by_the_sender_of_the_quote() {
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let mut world = World::default();
        let record = world.icmp("198.51.100.1", (UDP, from, to), 1000).record();
        assert_eq!(ends(&record), (from.into(), to.into()));
        assert_eq!((record.state, record.protocol), (FlowState::Quoted, UDP));
        assert_eq!((record.first, record.last), (unix(1000), unix(1000)));
        assert!(!record.is_tcp());
    }
}

#[test]
fn trouble_outlives_the_conversation() {
    let mut world = World::default();
    world.tcp(CLIENT, SERVER, (SYN, 100, 0, 0), 1000);
    world.tcp(CLIENT, SERVER, (SYN, 100, 0, 0), 2000);
    let record = world.forget_conversations().record();
    assert_eq!((record.state, record.protocol), (FlowState::Quoted, TCP));
    assert_eq!(ends(&record), (CLIENT.into(), SERVER.into()));
    assert_eq!(record.from_client.retransmissions(), 1);
    assert_eq!((record.first, record.from_client.packets()), (unix(2000), 0));
}

#[test]
fn no_time_overflows() {
    let base = TimeBase { offset: i64::MAX };
    assert_eq!(base.unix(u64::MAX), Some(i64::MAX));
    assert_eq!(base.unix(0), None);
}
