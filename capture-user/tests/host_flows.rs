//! `/v1/flows` over HTTP, and `captured flows`, which asks there.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener as StdListener,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use capture_common::{
    class::Class,
    flow::{Conversation, FlowKey, Seen, Segment, Sight, Trouble, TroubleKey, tcp_flags::SYN},
    parse::Packet,
};
use capture_user::{
    client::{ClientError, get},
    flows::{Collector, FlowList, FlowQuery, FlowsView, TimeBase},
    http,
    ledger::Ledger,
    snapshot::{InterfaceSnapshot, SegmentsSnapshot, SnapshotSource},
};
use tokio::{net::TcpListener, runtime::Runtime};

/// Has so many conversations: that of client N with N SYNs, on port 80 or, of every other, 443.
struct Daemon {
    ledger: Ledger,
    conversations: u16,
}

fn mapped(address: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets()
}

impl Daemon {
    fn new(conversations: u16) -> Self {
        Self { ledger: Ledger::default(), conversations }
    }

    fn observe(number: u16) -> (FlowKey, Conversation, Trouble) {
        let [high, low] = number.to_be_bytes();
        let there = Packet {
            source: mapped([10, 1, high, low]),
            destination: mapped([203, 0, 113, 9]),
            source_port: 40_000,
            destination_port: if number.is_multiple_of(2) { 80 } else { 443 },
            ..Packet::default()
        };
        let (key, side) = FlowKey::of(&there);
        let (mut conversation, mut trouble) = (Conversation::NEW, Trouble::NEW);
        for time in 1..=u64::from(number.min(20)) {
            let segment = Segment { sequence: 7, flags: SYN, window: 1, ..Segment::default() };
            let sight = Sight { now: time, ifindex: 1, frames: 1, bytes: 60, ..Sight::default() };
            let mut seen = Seen::default();
            conversation.observe(side, &segment, &sight, &mut seen);
            if seen.classes.is_trouble() {
                trouble.observe(side, &segment, &sight, &mut seen);
            }
        }
        (key, conversation, trouble)
    }
}

impl SnapshotSource for Daemon {
    fn flows_limit(&self) -> Result<u64, String> {
        Ok(1 << 16)
    }

    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        Ok(Vec::new())
    }

    fn flows(&self) -> Result<u64, String> {
        Ok(self.conversations.into())
    }

    fn flow_records(&self, query: &FlowQuery) -> Result<FlowList, String> {
        if self.conversations == 0 {
            return Err("cannot read the map `FLOWS`".to_owned());
        }
        let base = TimeBase { offset: 1_700_000_000_000_000_000 };
        let mut collector = Collector::new(*query, base);
        let all: Vec<_> = (1..=self.conversations).map(Self::observe).collect();
        for (key, _, trouble) in &all {
            if trouble.first_time != 0 {
                collector.trouble(&TroubleKey { flow: *key, protocol: 6 }, trouble);
            }
        }
        all.iter().for_each(|(key, conversation, _)| collector.conversation(key, conversation));
        Ok(collector.finish())
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn segments(&self) -> SegmentsSnapshot {
        SegmentsSnapshot::default()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Serves until the runtime is dropped.
fn serve(conversations: u16) -> (Runtime, String) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = http::State::new(Arc::new(Daemon::new(conversations)));
    runtime.spawn(http::serve(listener, state, std::future::pending()));
    (runtime, url)
}

fn captured(url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_captured"));
    command.args(["flows", "--url", url]).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_route_filters_sorts_and_limits() {
    let (_runtime, url) = serve(30);
    let ask =
        |path: &str| -> FlowsView { serde_json::from_str(&get(&url, path).unwrap()).unwrap() };
    let all = ask("/v1/flows");
    assert_eq!((all.matched, all.flows.len(), &*all.sort), (30, 30, "trouble"));
    let most = &all.flows[0];
    assert_eq!(most.from_client.retransmissions, 19);
    assert_eq!(most.from_client.classes.get(Class::SynRetransmission), 19);
    assert_eq!((&*most.protocol, &*most.state), ("tcp", "unanswered"));
    assert_eq!(most.last_trouble.as_deref(), Some("2023-11-14T22:13:20.000000020Z"));
    let few = ask("/v1/flows?port=443&limit=4&sort=packets");
    assert_eq!((few.matched, few.flows.len()), (15, 4));
    assert!(few.flows.iter().all(|flow| flow.server.port == 443));
    let one = ask("/v1/flows?host=10.1.0.7");
    assert_eq!((one.matched, one.flows[0].client.port), (1, 40_000));
    assert_eq!(ask("/v1/flows?host=2001:db8::1").matched, 0);
}

#[test]
fn mistakes_in_the_question_are_named() {
    let (_runtime, url) = serve(1);
    for (path, words) in [
        ("?limit=0", "limit: `0` is not allowed; allowed: a number from 1 to 100000"),
        ("?sort=size", "sort: `size` is no order; allowed: trouble, retransmissions,"),
        ("?host=a%26b", "host: `a&b` is not an IP address"),
        ("?prot=80", "prot: is unknown; allowed: sort, limit, host, port"),
    ] {
        match get(&url, &format!("/v1/flows{path}")).unwrap_err() {
            ClientError::Refused { status, message, .. } => {
                assert_eq!(status, 400);
                assert!(message.contains(words), "{message}");
            }
            other => panic!("{other}"),
        }
    }
    let (_runtime, url) = serve(0);
    let error = get(&url, "/v1/flows").unwrap_err().to_string();
    assert!(error.contains("HTTP 500") && error.contains("`FLOWS`"), "{error}");
    assert!(get(&url, "/").unwrap().contains("/v1/flows"));
}

#[test]
fn tens_of_thousands_come_whole() {
    let (_runtime, url) = serve(40_000);
    let start = std::time::Instant::now();
    let answer = get(&url, "/v1/flows?limit=100000").unwrap();
    println!("{} bytes in {:?}, the making of the flows included", answer.len(), start.elapsed());
    let view: FlowsView = serde_json::from_str(&answer).unwrap();
    assert_eq!((view.matched, view.flows.len()), (40_000, 40_000));
    let clients: std::collections::HashSet<_> =
        view.flows.iter().map(|flow| flow.client.address).collect();
    assert_eq!(clients.len(), 40_000);
}

#[test]
fn the_command_shows_a_table_or_the_json() {
    let (_runtime, url) = serve(30);
    let output = captured(&url, &["--limit", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("CLIENT") && lines[0].ends_with("TROUBLE"), "{table}");
    assert!(lines[1].starts_with("10.1.0.20:40000  203.0.113.9:80   unanswered"), "{table}");
    assert!(lines[1].ends_with("> 19 SYN retransmission, > 19 lost behind the gateway"), "{table}");
    let column = lines[0].find("TROUBLE").unwrap();
    assert!(lines[1..4].iter().all(|line| line[column..].starts_with("> 19 SYN")), "{table}");
    assert!(lines[4].starts_with("3 of 30 by trouble (--limit)"), "{table}");
    assert!(!table.contains('\x1b'));

    let json = captured(&url, &["10.1.0.7:443", "--json"]);
    let view: FlowsView = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(view.matched, 1);
    let none = text(&captured(&url, &["10.1.0.7:80"]).stdout);
    assert!(none.contains("no conversation matches"), "{none}");
}

#[test]
fn mistakes_and_absent_daemons_have_their_exit_codes() {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = captured(&url, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with(&format!("captured: no daemon answers at {url}: ")), "{said}");
    assert!(said.contains("Is `captured run` running"), "{said}");
    let output = captured(&url, &["web:80"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`web` is not an IP address"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let (_runtime, url) = serve(2000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_captured"))
        .args(["flows", "--watch", "1", "--limit", "2000", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("CLIENT"));
    // Its end of the pipe is closed now.
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
