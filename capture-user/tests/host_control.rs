//! The control socket: `captured filter`, plain HTTP, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use capture_common::abi::{Counters, Mode};
use capture_user::{
    client::{self, ClientError},
    control::{Change, ChangeError, Changes, ControlSocket, FilterView},
    filter::Filter,
    flows::{FlowList, FlowQuery},
    http,
    ledger::Ledger,
    snapshot::{Attach, InterfaceSnapshot, SegmentsSnapshot, SnapshotSource},
};
use serde_json::{Value, json};
use tokio::{net::UnixListener, runtime::Runtime, sync::mpsc};

const PATH: &str = "/v1/filters";

/// Two interfaces with filters; what the control loop does with programs is left out.
struct Daemon {
    ledger: Ledger,
    filters: Mutex<[(&'static str, Filter); 2]>,
}

impl Daemon {
    fn views(&self) -> Vec<FilterView> {
        self.filters.lock().unwrap().iter().map(|(name, f)| FilterView::new(name, f)).collect()
    }

    fn change(&self, change: &Change) -> Result<Vec<FilterView>, ChangeError> {
        let (interface, reason) = ("gw0".to_owned(), "the kernel refuses it".to_owned());
        match change.filter.expression.as_str() {
            "less 60" => return Err(ChangeError::Refused { interface, reason }),
            "less 61" => {
                let changed = vec!["gw1".to_owned()];
                return Err(ChangeError::Partly { interface, reason, changed });
            }
            _ => {}
        }
        if let Some(name) = change.interfaces.iter().find(|name| !name.starts_with("gw")) {
            let present = vec!["gw0".to_owned(), "gw1".to_owned()];
            return Err(ChangeError::UnknownInterface { name: name.clone(), present });
        }
        for (name, filter) in self.filters.lock().unwrap().iter_mut() {
            if change.interfaces.is_empty() || change.interfaces.iter().any(|n| n == name) {
                filter.clone_from(&change.filter);
            }
        }
        Ok(self.views())
    }

    async fn follow(self: Arc<Self>, mut changes: mpsc::Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            let result = self.change(&change);
            change.answer.send(result).unwrap();
        }
    }
}

impl SnapshotSource for Daemon {
    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        let snapshot = |(name, filter): &(&str, Filter)| InterfaceSnapshot {
            name: (*name).to_owned(),
            slot: 0,
            mode: Mode::Tap,
            attach: Attach::Native,
            copy: None,
            filter: filter.clone(),
            counters: [Counters::ZERO; 2],
        };
        Ok(self.filters.lock().unwrap().iter().map(snapshot).collect())
    }

    fn flows_limit(&self) -> Result<u64, String> {
        Ok(1024)
    }

    fn flows(&self) -> Result<u64, String> {
        Ok(0)
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
        Ok(())
    }
}

struct Server {
    daemon: Arc<Daemon>,
    path: PathBuf,
    _socket: ControlSocket,
    _directory: tempfile::TempDir,
    _runtime: Runtime,
}

/// Answers until it is dropped.
fn start() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("captured.sock");
    let icmp = Filter { expression: "icmp".parse().unwrap(), ..Filter::default() };
    let filters = Mutex::new([("gw0", icmp), ("gw1", Filter::default())]);
    let daemon = Arc::new(Daemon { ledger: Ledger::default(), filters });
    let (socket, listener) = ControlSocket::listen(&path).unwrap();
    let runtime = Runtime::new().unwrap();
    let (changes, asked) = Changes::channel();
    runtime.spawn(daemon.clone().follow(asked));
    let state = http::State::new(daemon.clone());
    let listener = runtime.block_on(async { UnixListener::from_std(listener) }).unwrap();
    runtime.spawn(http::serve_control(listener, state, changes, std::future::pending()));
    Server { daemon, path, _socket: socket, _directory: directory, _runtime: runtime }
}

impl Server {
    fn put(&self, request: &Value) -> Result<Value, ClientError> {
        client::put(&self.path, PATH, request.to_string())
            .map(|answer| serde_json::from_str(&answer).unwrap())
    }

    /// Status and JSON of an answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The server may have refused, and closed, before it has read all.
        let _ = stream.write_all(body.as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    fn captured(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_captured"));
        command.args(["filter"]).args(args).arg("--control").arg(&self.path).output().unwrap()
    }

    fn texts(&self) -> [String; 2] {
        let filters = self.daemon.filters.lock().unwrap();
        [filters[0].1.to_string(), filters[1].1.to_string()]
    }
}

#[test]
fn filters_are_shown_and_changed() {
    let server = start();
    let shown = |filters: [(&str, &str); 2]| {
        let [a, b] = filters;
        json!([
            { "interface": "gw0", "filter": a.0, "trouble": a.1 },
            { "interface": "gw1", "filter": b.0, "trouble": b.1 }
        ])
    };
    let get = || {
        let text = client::get_control(&server.path, PATH).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(get(), shown([("icmp", ""), ("", "")]));
    let one = json!({ "filter": " tcp port 80 ", "trouble": "reset", "interfaces": ["gw1"] });
    let wanted = shown([("icmp", ""), ("tcp port 80", "reset")]);
    assert_eq!(server.put(&one).unwrap(), wanted);
    assert_eq!(get(), wanted);
    // As many bytes as an expression may have, and more than the body of most requests.
    let long = format!("port {}", vec!["65535"; 600].join(" or "));
    assert_eq!(server.put(&json!({ "filter": long })).unwrap(), shown([(&long, ""), (&long, "")]));
    assert_eq!(server.put(&json!({ "filter": "" })).unwrap(), shown([("", ""), ("", "")]));
}

#[test]
fn what_is_refused_changes_nothing() {
    let server = start();
    let before = server.texts();
    for (body, status, words) in [
        (r#"{"filter": "tcp porrt 80"}"#, 400, &["error"][..]),
        (r#"{"filter": "tcp", "trouble": "rst"}"#, 400, &["`rst`", "retransmission"]),
        (r#"{"filter": "tcp", "interface": "gw0"}"#, 400, &["unknown field `interface`"]),
        (r#"{"trouble": "reset"}"#, 400, &["missing field `filter`"]),
        ("filter=tcp", 400, &["not understood", "\"filter\""]),
        (r#"{"filter": "tcp", "interfaces": ["eth9"]}"#, 400, &["`eth9`", "gw0, gw1"]),
        (r#"{"filter": "less 60"}"#, 422, &["kernel refuses", "no filter was changed"]),
        (r#"{"filter": "less 61"}"#, 500, &["these have the new filter", "gw1"]),
    ] {
        let (found, answer) = server.ask("PUT", PATH, body);
        assert_eq!(found, status, "{body}: {answer}");
        let text = answer["error"].as_str().unwrap();
        for word in words {
            assert!(*word == "error" || text.contains(word), "{body}: {text}");
        }
    }
    let (_, answer) = server.ask("PUT", PATH, r#"{"filter": "tcp porrt 80"}"#);
    assert_eq!(answer["filter"], "tcp porrt 80");
    assert!(answer["position"].is_u64(), "{answer}");
    let (_, answer) = server.ask("PUT", PATH, r#"{"filter": "less 61"}"#);
    assert_eq!(answer["changed"], json!(["gw1"]));
    let large = json!({ "filter": "x".repeat(200 << 10) }).to_string();
    assert_eq!(server.ask("PUT", PATH, &large).0, 413);
    let (status, answer) = server.ask("DELETE", PATH, "");
    assert_eq!(
        (status, &answer["error"]),
        (405, &json!("DELETE is not allowed for /v1/filters: use GET or PUT"))
    );
    assert_eq!(server.ask("GET", "/metrics", "").0, 404);
    assert_eq!(server.texts(), before);
}

#[test]
fn the_command_changes_and_shows() {
    let server = start();
    let output = server.captured(&["set", "-i", "gw1", "tcp", "port", "80", "--trouble", "any"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = "gw0: icmp\ngw1: tcp port 80, of conversations with: any\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
    assert_eq!(server.texts(), ["icmp", "tcp port 80 [trouble: any]"]);
    assert_eq!(String::from_utf8(server.captured(&["show"]).stdout).unwrap(), shown);
    let json = server.captured(&["show", "--json"]).stdout;
    assert_eq!(serde_json::from_slice::<Vec<FilterView>>(&json).unwrap(), server.daemon.views());
    assert_eq!(server.captured(&["set", "--all"]).status.code(), Some(0));
    assert_eq!(server.texts(), ["", ""]);

    for (args, code, word) in [
        (&["set", "tcp", "porrt"][..], 2, "tcp porrt"),
        (&["set", "-i", "eth9", "tcp"], 2, "gw0, gw1"),
        (&["set", "less 60"], 2, "the kernel refuses it"),
        (&["set", "less 61"], 1, "these have the new filter"),
        (&["set"], 2, "--all"),
    ] {
        let output = server.captured(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
    assert_eq!(server.texts(), ["", ""]);
}

#[test]
fn a_daemon_that_stops_says_so_and_one_that_is_gone_is_named() {
    let server = start();
    let Server { path, _runtime: runtime, .. } = &server;
    let (changes, asked) = Changes::channel();
    drop(asked);
    let filter = Filter::default();
    let error = runtime.block_on(changes.ask(filter, Vec::new())).unwrap_err();
    assert_eq!(error, ChangeError::Stopping);

    let path = path.clone();
    drop(server);
    let error = client::get_control(&path, PATH).unwrap_err();
    assert!(matches!(error, ClientError::NoSocket { .. }), "{error}");
    assert!(error.to_string().contains("--control PATH"), "{error}");
}
