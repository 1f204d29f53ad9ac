//! Tables with tens of thousands of entries are read in one go: each entry once, and the same as when
//! it is asked for alone.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Instant,
};

use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::{
    abi::{InterfaceConfig, names},
    class::Class,
    flow::{Conversation, FlowKey, Trouble, TroubleKey},
};
use capture_user::{
    flows::{self, FlowFilter, FlowQuery, TimeBase},
    kernel::{Batches, Object, Settings, Tables},
};

/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const FLOWS: u32 = 30_000;
/// Every so many has trouble.
const TROUBLED: u32 = 10;
/// An LRU map of the kernel's gives away entries before it is full: room enough for all.
const SETTINGS: Settings = Settings { flows: 1 << 18, ring_bytes: 1 << 16 };

/// Address of the client with a number, as the programs keep it.
fn address(client: u32) -> [u8; 16] {
    Ipv4Addr::from(0x0a00_0000 + client).to_ipv6_mapped().octets()
}

/// A SYN of a client.
fn syn(client: u32) -> Vec<u8> {
    let mut frame =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0];
    frame.extend_from_slice(&(0x0a00_0000 + client).to_be_bytes());
    frame.extend_from_slice(&[203, 0, 113, 9, 0x9c, 0x40, 0, 80, 0, 0, 0, 7]);
    frame.extend_from_slice(&[0, 0, 0, 0, 0x50, 2, 0xff, 0, 0, 0, 0, 0]);
    frame
}

/// `FLOWS` SYNs, of which every `TROUBLED`th is sent again.
fn fill() -> (Object, Tables) {
    let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables.set_interface(LOOPBACK, &InterfaceConfig::default()).unwrap();
    for client in 0..FLOWS {
        let times = if client % TROUBLED == 0 { 3 } else { 1 };
        (0..times).for_each(|_| send(&mut object, client));
    }
    (object, tables)
}

fn send(object: &mut Object, client: u32) {
    let frame = syn(client);
    let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
    object.xdp(names::XDP_INGRESS).unwrap().test_run(options).unwrap();
}

/// All entries; fails if one comes twice.
fn all<K, V>(batches: Batches<K, V>) -> HashMap<K, V>
where
    K: aya::Pod + Default + Eq + std::hash::Hash + std::fmt::Debug,
    V: aya::Pod + Default,
{
    let mut entries = HashMap::new();
    let visit = |key: &K, value: &V| {
        assert!(entries.insert(*key, *value).is_none(), "{key:?} came twice");
    };
    batches.for_each(visit).unwrap();
    entries
}

#[test]
fn tens_of_thousands_of_flows_are_read_in_one_go() {
    let (_object, tables) = fill();
    let start = Instant::now();
    assert_eq!(tables.flow_count().unwrap(), u64::from(FLOWS));
    println!("{FLOWS} flows counted in {:?}", start.elapsed());

    let start = Instant::now();
    let flows: HashMap<FlowKey, Conversation> = all(tables.flow_batches().unwrap());
    let batch = start.elapsed();
    let start = Instant::now();
    for (key, conversation) in &flows {
        assert_eq!(tables.flow(key).unwrap().as_ref(), Some(conversation), "{key:?}");
    }
    println!("{FLOWS} flows read in {batch:?}, one by one in {:?}", start.elapsed());
    assert_eq!(flows.len(), FLOWS as usize);
    let low = flows.keys().map(|key| key.low_address);
    let addresses: HashSet<_> = low.chain(flows.keys().map(|key| key.high_address)).collect();
    assert!((0..FLOWS).all(|client| addresses.contains(&address(client))));
}

#[test]
fn what_went_wrong_is_read_the_same_way() {
    let (_object, tables) = fill();
    let troubles: HashMap<TroubleKey, Trouble> = all(tables.trouble_batches().unwrap());
    assert_eq!(troubles.len(), FLOWS.div_ceil(TROUBLED) as usize);
    for (key, trouble) in &troubles {
        assert_eq!(tables.trouble(key).unwrap().as_ref(), Some(trouble), "{key:?}");
        let resent = [trouble.low, trouble.high].map(|end| end.count(Class::SynRetransmission));
        assert_eq!(resent.iter().sum::<u32>(), 2);
    }
}

#[test]
fn an_empty_table_is_over_at_once() {
    let (_object, tables) = Object::load(&SETTINGS).unwrap();
    assert!(all(tables.flow_batches().unwrap()).is_empty());
    assert_eq!(tables.flow_count().unwrap(), 0);
}

#[test]
fn what_is_there_all_the_time_is_seen_while_others_come() {
    let (mut object, tables) = fill();
    let old: HashSet<FlowKey> = all(tables.flow_batches().unwrap()).into_keys().collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let come = scope.spawn(|| {
            let mut client = FLOWS;
            while !is_over.load(Relaxed) && client < 3 * FLOWS {
                send(&mut object, client);
                client += 1;
            }
            client - FLOWS
        });
        for _ in 0..10 {
            let seen = all(tables.flow_batches().unwrap());
            assert!(old.iter().all(|key| seen.contains_key(key)));
        }
        is_over.store(true, Relaxed);
        println!("{} flows came meanwhile", come.join().unwrap());
    });
}

#[test]
fn records_of_both_tables_are_answers() {
    let (_object, tables) = fill();
    let ask = |query: &FlowQuery| {
        let start = Instant::now();
        let (troubles, conversations) = (tables.trouble_batches(), tables.flow_batches());
        let base = TimeBase::default();
        let list = flows::read(troubles.unwrap(), conversations.unwrap(), query, base).unwrap();
        println!("{} of {} records in {:?}", list.flows.len(), list.matched, start.elapsed());
        list
    };
    let every = ask(&FlowQuery { limit: 100_000, ..FlowQuery::default() });
    assert_eq!((every.matched, every.flows.len()), (u64::from(FLOWS), FLOWS as usize));
    let troubled = FLOWS.div_ceil(TROUBLED) as usize;
    let (worst, calm) = every.flows.split_at(troubled);
    assert!(worst.iter().all(|flow| flow.from_client.retransmissions() == 2));
    assert!(calm.iter().all(|flow| flow.trouble.is_none()));
    let first = ask(&FlowQuery::default());
    assert_eq!((first.matched, &first.flows[..]), (u64::from(FLOWS), &every.flows[..100]));
    let filter = FlowFilter { host: Some(Ipv4Addr::from(0x0a00_0014).into()), port: Some(80) };
    let one = ask(&FlowQuery { filter, ..FlowQuery::default() });
    assert_eq!((one.matched, one.flows[0].from_client.packets()), (1, 3));
}
