//! What the HTTP server answers, read by a plain client and by promtool.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers, too")]

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use capture_common::abi::{Counters, Direction, Mode};
use capture_user::{
    filter::Filter,
    flows::{FlowList, FlowQuery},
    http,
    ledger::{Ledger, Loss},
    snapshot::{Attach, InterfaceSnapshot, SegmentsSnapshot, SnapshotSource},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// How the daemon of the test is.
const WELL: u8 = 0;
const UNREADABLE: u8 = 1;
const PANICKING: u8 = 2;

/// A daemon with two interfaces, whose counters grow with each scrape.
#[derive(Default)]
struct Daemon {
    ledger: Ledger,
    health: AtomicU8,
    scrapes: AtomicU64,
}

impl SnapshotSource for Daemon {
    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        match self.health.load(Relaxed) {
            WELL => {}
            UNREADABLE => return Err("map COUNTERS of eth0: no such \"device\"".into()),
            _ => panic!("the source of the test panics as told"),
        }
        let scrapes = self.scrapes.fetch_add(1, Relaxed);
        self.ledger.line(1, Direction::Egress).add_lost(Loss::WriteError, scrapes);
        let mut counters = [Counters::ZERO; 2];
        counters[0].received_frames = 10 * scrapes;
        let interface = |name: &str, slot, mode, copy, filter: &str| InterfaceSnapshot {
            name: name.into(),
            slot,
            mode,
            attach: Attach::Native,
            copy,
            filter: Filter { expression: filter.parse().unwrap(), ..Filter::default() },
            counters,
        };
        Ok(vec![
            interface("eth0", 0, Mode::Tap, None, "(tcp and port 80) or (icmp)"),
            interface("we\"ird\\", 1, Mode::Mirror, Some(true), ""),
        ])
    }

    fn flows_limit(&self) -> Result<u64, String> {
        Ok(1024)
    }

    fn flows(&self) -> Result<u64, String> {
        Ok(self.scrapes.load(Relaxed))
    }

    fn flow_records(&self, _: &FlowQuery) -> Result<FlowList, String> {
        Ok(FlowList::default())
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn segments(&self) -> SegmentsSnapshot {
        SegmentsSnapshot::default()
    }

    fn ready(&self) -> Result<(), String> {
        match self.health.load(Relaxed) {
            WELL => Ok(()),
            _ => Err("eth0 is not attached".into()),
        }
    }
}

struct Server {
    daemon: Arc<Daemon>,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Server {
    let daemon = Arc::new(Daemon::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let state = http::State::new(daemon.clone());
    let task = tokio::spawn(http::serve(listener, state, async move { drop(stopped.await) }));
    Server { daemon, address, stop, task }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    async fn ask(&self, method: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// Names and labels of all samples.
fn series(text: &str) -> Vec<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0).collect()
}

fn promtool_check(text: &str) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian's package prometheus) is needed by this test");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test]
async fn metrics_are_valid_and_stable() {
    let server = start().await;
    let first = server.ask("GET", "/metrics").await;
    assert_eq!(first.status, 200);
    assert!(first.head.contains("content-type: text/plain; version=0.0.4"), "{}", first.head);
    promtool_check(&first.body);

    let second = server.ask("GET", "/metrics").await;
    assert_eq!(series(&first.body), series(&second.body));
    let mut unique = series(&first.body);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), series(&first.body).len(), "a series appears twice");
    let grown = "\ncapture_received_frames_total{interface=\"eth0\",direction=\"ingress\"} 10\n";
    assert!(second.body.contains(grown));
    assert!(second.body.contains("interface=\"we\\\"ird\\\\\""));
    server.stop().await;
}

#[tokio::test]
async fn each_metric_has_help_and_type() {
    let server = start().await;
    let text = server.ask("GET", "/metrics").await.body;
    let mut described: Option<&str> = None;
    let mut metrics = 0;
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty(), "{line}");
            described = Some(name);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(Some(name), described, "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            metrics += 1;
        } else {
            assert_eq!(line.split([' ', '{']).next(), described, "{line}");
        }
    }
    assert!(metrics >= capture_user::metrics::DEFINITIONS.len() + 3, "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn health_and_readiness() {
    let server = start().await;
    let alive = server.ask("GET", "/healthz").await;
    assert_eq!((alive.status, alive.body.trim()), (200, "ok"));
    assert_eq!(server.ask("GET", "/readyz").await.status, 200);
    server.daemon.health.store(UNREADABLE, Relaxed);
    let ready = server.ask("GET", "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("eth0 is not attached"), "{}", ready.body);
    assert_eq!(server.ask("GET", "/healthz").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_scrape_that_fails_says_so_and_the_next_works() {
    let server = start().await;
    for (health, reason) in [(UNREADABLE, "no such \"device\""), (PANICKING, "panics as told")] {
        server.daemon.health.store(health, Relaxed);
        let answer = server.ask("GET", "/metrics").await;
        assert_eq!(answer.status, 500);
        let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert!(error["error"].as_str().unwrap().contains(reason), "{error}");
        server.daemon.health.store(WELL, Relaxed);
        assert_eq!(server.ask("GET", "/metrics").await.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_get_json_errors() {
    let server = start().await;
    let index = server.ask("GET", "/").await;
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert!(index.body.contains(path), "{}", index.body);
        assert_eq!(server.ask("HEAD", path).await.status, 200);
        let answer = server.ask("POST", path).await;
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains("\r\nallow: get"), "{}", answer.head);
        let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(error["error"], format!("POST is not allowed for {path}: use GET"));
    }
    let answer = server.ask("GET", "/nothing/%22here%22?x").await;
    assert_eq!(answer.status, 404);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(error["error"].as_str().unwrap().contains("/nothing/%22here%22"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn many_scrapes_at_the_same_time_are_all_answered() {
    let server = start().await;
    let mut scrapes = tokio::task::JoinSet::new();
    let server = Arc::new(server);
    for _ in 0..100 {
        let server = server.clone();
        scrapes.spawn(async move { server.ask("GET", "/metrics").await.status });
    }
    assert!(scrapes.join_all().await.into_iter().all(|status| status == 200));
    Arc::into_inner(server).unwrap().stop().await;
}

/// The filters in force are read here, too, but not changed.
#[tokio::test]
async fn filters_are_shown_but_not_changed_over_the_network() {
    let server = start().await;
    let answer = server.ask("GET", "/v1/filters").await;
    assert_eq!(answer.status, 200);
    let filters: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(filters[0]["filter"], "(tcp and port 80) or (icmp)");
    assert_eq!(filters[1]["interface"], "we\"ird\\");
    assert_eq!(server.ask("PUT", "/v1/filters").await.status, 405);
    server.stop().await;
}
