//! Filters, orders and limits; the JSON.

use capture_common::class::Class;

use super::*;
use crate::flows::{ClassCounts, FlowFilter, FlowView, SortBy, class_name, time_text};

/// Ten conversations; that of client N has N bytes more than that of client 1, began N seconds later,
/// and had its SYN sent again N times.
fn ten() -> World {
    let mut world = World::default();
    for number in 1..=10 {
        let client = format!("192.0.2.{number}:4000");
        for time in 0..=number {
            world.tcp(&client, SERVER, (SYN, 100, 0, 0), (number + 20 * time) * 1000);
        }
    }
    world
}

fn last_bytes(list: &FlowList) -> Vec<u8> {
    list.flows.iter().map(|flow| octets(flow.client.ip())[15]).collect()
}

#[test]
fn the_most_come_first_and_the_limit_cuts_the_rest() {
    let world = ten();
    for sort in [SortBy::Trouble, SortBy::Retransmissions, SortBy::Packets, SortBy::Last] {
        let list = world.ask(FlowQuery { sort, limit: 3, ..FlowQuery::default() });
        assert_eq!((list.matched, last_bytes(&list)), (10, vec![10, 9, 8]), "{sort:?}");
    }
    let all = world.ask(FlowQuery { limit: usize::MAX, ..FlowQuery::default() });
    assert_eq!(last_bytes(&all), (1..=10).rev().collect::<Vec<_>>());
    let none = world.ask(FlowQuery { limit: 0, ..FlowQuery::default() });
    assert_eq!((none.matched, none.flows.len()), (10, 0));
}

#[test]
fn each_order_has_its_measure() {
    let mut world = World::default();
    // The first to begin, with the longest way.
    world.tcp("10.0.0.1:1", SERVER, (SYN, 1, 0, 0), 100);
    world.tcp(SERVER, "10.0.0.1:1", (SYN | ACK, 1, 2, 0), 900);
    world.handshake("10.0.0.2:1", SERVER, 1000);
    for time in 1..9 {
        world.tcp("10.0.0.2:1", SERVER, (ACK, 101, 901, 0), 1100 + time);
    }
    world.tcp("10.0.0.3:1", SERVER, (SYN, 1, 0, 0), 2000);
    let first = |sort| last_bytes(&world.ask(FlowQuery { sort, ..FlowQuery::default() }))[0];
    assert_eq!(first(SortBy::Rtt), 1);
    assert_eq!((first(SortBy::Bytes), first(SortBy::Packets)), (2, 2));
    assert_eq!((first(SortBy::First), first(SortBy::Last)), (3, 3));
}

#[test]
fn equals_are_in_an_order_that_stays() {
    let mut world = World::default();
    for number in [5, 3, 9, 1, 7] {
        world.tcp(&format!("192.0.2.{number}:4000"), SERVER, (SYN, 1, 0, 0), 1000);
    }
    for limit in 1..=5 {
        let list = world.ask(FlowQuery { limit, ..FlowQuery::default() });
        assert_eq!(last_bytes(&list), [1, 3, 5, 7, 9][..limit]);
    }
}

#[test]
fn filters_are_for_both_tables() {
    let mut world = ten();
    world.icmp("198.51.100.1", (UDP, "192.0.2.5:53", "203.0.113.9:53"), 9000);
    let ask = |host: Option<&str>, port| {
        let filter = FlowFilter { host: host.map(|host| host.parse().unwrap()), port };
        world.ask(FlowQuery { filter, ..FlowQuery::default() }).matched
    };
    assert_eq!(ask(None, None), 11);
    assert_eq!(ask(Some("203.0.113.9"), None), 11);
    assert_eq!(ask(Some("192.0.2.5"), None), 2);
    assert_eq!(ask(Some("192.0.2.5"), Some(53)), 1);
    assert_eq!(ask(None, Some(80)), 10);
    assert_eq!(ask(Some("192.0.2.11"), None), 0);
}

#[test]
fn json_says_all_and_can_be_read_again() {
    let mut world = World::default();
    world.handshake(CLIENT, SERVER, 1000);
    world.tcp(CLIENT, SERVER, (ACK, 101, 901, 10), 3000);
    world.tcp(CLIENT, SERVER, (ACK, 101, 901, 10), 4000);
    world.icmp("198.51.100.1", (TCP, CLIENT, SERVER), 4500);
    let view = FlowView::from(&world.record());
    let json = serde_json::to_value(&view).unwrap();
    let at = |pointer: &str| json.pointer(pointer).unwrap_or_else(|| panic!("{pointer}: {json}"));
    for (pointer, value) in [
        ("/protocol", "tcp"),
        ("/client/address", "192.0.2.1"),
        ("/state", "established"),
        ("/first_seen", "2023-11-14T22:13:21.000000000Z"),
        ("/last_seen", "2023-11-14T22:13:24.500000000Z"),
        ("/icmp/origin", "hop"),
        ("/icmp/about", "client"),
        ("/icmp/sender", "198.51.100.1"),
    ] {
        assert_eq!(at(pointer), value, "{pointer}");
    }
    assert_eq!(at("/server/port"), 80);
    assert_eq!(at("/server_rtt_seconds"), 0.03);
    assert_eq!(at("/from_client/classes/retransmission"), 1);
    assert_eq!(at("/from_server/classes").as_object().unwrap().len(), Class::COUNT);
    assert_eq!(at("/icmp/type"), 3);
    assert!(at("/tunnel").is_null() && at("/icmp/mtu").is_null());
    let again: FlowView = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(again, view);
}

#[test]
fn class_names_differ_and_others_are_passed_over() {
    let names: std::collections::BTreeSet<_> = Class::ALL.into_iter().map(class_name).collect();
    assert_eq!(names.len(), Class::COUNT);
    let counts: ClassCounts = serde_json::from_str(r#"{"reset": 3, "new_class": 4}"#).unwrap();
    assert_eq!((counts.get(Class::Reset), counts.get(Class::KeepAlive)), (3, 0));
}

#[test]
fn every_time_has_a_text() {
    assert_eq!(time_text(0), "1970-01-01T00:00:00.000000000Z");
    assert_eq!(time_text(i64::MAX), "2262-04-11T23:47:16.854775807Z");
    assert!(time_text(i64::MIN).starts_with("1677-09-21T"));
}
