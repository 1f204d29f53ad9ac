//! Tap mode from outside: the traffic cannot tell whether captured runs. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{net::UdpSocket, thread, time::Duration};

use xtask::lab::{
    Daemon, HttpServer, Lab, Namespace, Routed, RoutedOptions, build, http,
    routed::{SERVER_V4, SERVER_V6},
    wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);
const DATAGRAMS: u64 = 2000;
/// A port whose datagrams the server's firewall drops: nothing comes back.
const SILENT_PORT: u16 = 9999;

/// What clients get: exit code, status and body of each request.
fn requests(client: &Namespace) -> Vec<(i64, u16, Vec<u8>)> {
    let mut results = Vec::new();
    for host in [SERVER_V4.to_string(), format!("[{SERVER_V6}]")] {
        for path in [":80/index.html", ":80/big.bin", ":80/missing", ":81/refused"] {
            let url = format!("http://{host}{path}");
            let transfer = http::get(client, &url, http::Patience::default()).unwrap();
            results.push((transfer.exit_code, transfer.status, transfer.body));
        }
    }
    results
}

/// Frames that the server's interface has received.
fn received(lab: &Routed) -> u64 {
    let count = lab.server.run(&["cat", "/sys/class/net/srv0/statistics/rx_packets"]).unwrap();
    count.trim().parse().unwrap()
}

/// Sends datagrams that nobody answers; returns how many frames reached the server.
fn datagrams(lab: &Routed) -> u64 {
    let before = received_when_quiet(lab);
    let send = || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for number in 0..DATAGRAMS {
            socket.send_to(&number.to_be_bytes(), (SERVER_V4, SILENT_PORT)).unwrap();
            // No queue on the way must overflow, with captured or without.
            thread::sleep(Duration::from_micros(200));
        }
    };
    lab.client.enter(send).unwrap();
    wait_until(PATIENCE, "the datagrams to arrive", || {
        Ok((received(lab) - before >= DATAGRAMS).then_some(()))
    })
    .unwrap();
    received_when_quiet(lab) - before
}

/// As [`received`], once the last segments of connections that just ended have come in.
fn received_when_quiet(lab: &Routed) -> u64 {
    let mut last = received(lab);
    wait_until(PATIENCE, "the server's interface to be quiet", || {
        thread::sleep(Duration::from_millis(500));
        let now = received(lab);
        Ok((std::mem::replace(&mut last, now) == now).then_some(now))
    })
    .unwrap()
}

#[test]
fn results_and_frames_are_the_same_with_and_without_captured() {
    build::captured().unwrap();
    let lab = Lab::routed(&RoutedOptions { rate_mbit: Some(200), ..Default::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (www, stored) = (directory.path().join("www"), directory.path().join("segments"));
    std::fs::create_dir(&www).unwrap();
    http::write_site(&www, 4).unwrap();
    let _server = HttpServer::start(&lab.server, &www, 80).unwrap();
    let silence = format!(
        "table inet test {{\n chain input {{\n type filter hook input priority 0\n \
         udp dport {SILENT_PORT} drop\n }}\n}}"
    );
    lab.server.nft(&silence).unwrap();

    let without = (requests(&lab.client), datagrams(&lab));
    let arguments = ["-i", "gw0", "-i", "gw1", "-w", stored.to_str().unwrap()];
    let daemon = Daemon::start(&lab.gateway, &arguments).unwrap();
    let with = (requests(&lab.client), datagrams(&lab));
    assert_eq!(with.1, DATAGRAMS);
    assert!(with == without, "what came through with captured differs");
    let statuses: Vec<_> = with.0.iter().map(|(code, status, _)| (*code, *status)).collect();
    let wanted = [(0, 200), (0, 200), (0, 404), (7, 0)];
    assert_eq!(statuses, [wanted, wanted].concat());
    let seen = daemon.metrics().unwrap();
    let from_client = [("interface", "gw0"), ("direction", "ingress")];
    assert!(seen.count("capture_received_frames_total", &from_client) > DATAGRAMS);
    daemon.stop().unwrap();
    assert_eq!(datagrams(&lab), DATAGRAMS, "after the daemon");
}
