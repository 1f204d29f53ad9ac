//! The lab itself: what it builds works, and goes away. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    time::Duration,
};

use xtask::lab::{
    HttpServer, Lab, Namespace, PairOptions, RoutedOptions, Tcpdump, command,
    http::{self, Patience},
    readers,
    routed::{GATEWAY_INSIDE, GATEWAY_OUTSIDE},
    wait_until,
};

const SOON: Duration = Duration::from_secs(10);

fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// Fetches the page and the big file over IPv4 and IPv6: four connections.
fn fetch_all(client: &Namespace, site: &Path) {
    for host in ["203.0.113.2", "[2001:db8:3::2]"] {
        for file in [http::PAGE, http::BIG_FILE] {
            let url = format!("http://{host}:8080/{file}");
            let transfer = http::get(client, &url, Patience::default()).unwrap();
            assert_eq!((transfer.exit_code, transfer.status), (0, 200), "{url}");
            assert_eq!(transfer.body, std::fs::read(site.join(file)).unwrap());
        }
    }
}

#[test]
fn requests_cross_the_gateway_as_on_a_cable() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    std::fs::create_dir(&site).unwrap();
    http::write_site(&site, 2).unwrap();
    let options = RoutedOptions { rate_mbit: Some(200), ..RoutedOptions::default() };
    let lab = Lab::routed(&options).unwrap();
    let server = HttpServer::start(&lab.server, &site, 8080).unwrap();
    let files = [directory.path().join("gw0.pcap"), directory.path().join("gw1.pcap")];
    let interfaces = [GATEWAY_OUTSIDE, GATEWAY_INSIDE].into_iter().zip(&files);
    let sniffers = interfaces
        .map(|(interface, file)| {
            Tcpdump::start(&lab.gateway, interface, file, "tcp port 8080").unwrap()
        })
        .collect::<Vec<_>>();

    fetch_all(&lab.client, &site);
    assert_eq!(server.log().matches("\" 200 ").count(), 4, "{}", server.log());

    for file in &files {
        wait_until(SOON, "the last acknowledgement of the last FIN", || {
            let rows = readers::tshark(&[file], "", &["tcp.flags.fin"]);
            // tcpdump may be in the middle of writing a frame.
            let Ok(rows) = rows else { return Ok(None) };
            let fins = rows.iter().filter(|row| row[0] == "1").count();
            let over = fins == 8 && rows.last().is_some_and(|row| row[0] == "0");
            Ok(over.then_some(()))
        })
        .unwrap();
    }
    sniffers.into_iter().for_each(|tcpdump| _ = tcpdump.stop().unwrap());
    let packets = files.each_ref().map(|file| readers::check(file).unwrap());
    assert_eq!(packets[0], packets[1], "the gateway forwards what it receives");
    for file in &files {
        let long = readers::tshark(&[file], "frame.len > 1514", &["frame.len"]).unwrap();
        assert!(long.is_empty(), "frames longer than the MTU: {long:?}");
        let text = command::run(Command::new("tcpdump").arg("-nnvvr").arg(file), b"").unwrap();
        assert!(text.contains("(correct)") && !text.contains("incorrect"), "bad checksums");
    }
}

#[test]
fn limited_downloads_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    http::write_site(directory.path(), 16).unwrap();
    let options = RoutedOptions { rate_mbit: Some(200), ..RoutedOptions::default() };
    let lab = Lab::routed(&options).unwrap();
    let _server = HttpServer::start(&lab.server, directory.path(), 8080).unwrap();
    let url = format!("http://203.0.113.2:8080/{}", http::BIG_FILE);
    let transfer = http::get(&lab.client, &url, Patience::default()).unwrap();
    assert_eq!((transfer.status, transfer.body.len()), (200, 16 << 20));
    assert!(transfer.seconds > 0.6, "{} s for 134 Mbit at 200 Mbit/s", transfer.seconds);
    let counters = lab.server.run(&["nstat", "-asz", "TcpOutSegs", "TcpRetransSegs"]).unwrap();
    let counter = |name: &str| {
        let line = counters.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert!(counter("TcpOutSegs") > (16 << 20) / 1448, "{counters}");
    assert_eq!(counter("TcpRetransSegs"), 0, "{counters}");
}

#[test]
fn firewalls_reject_and_drop() {
    let directory = tempfile::tempdir().unwrap();
    http::write_site(directory.path(), 0).unwrap();
    let lab = Lab::routed(&RoutedOptions::default()).unwrap();
    let _server = HttpServer::start(&lab.server, directory.path(), 8080).unwrap();
    let short = Patience { connect: Duration::from_millis(500), total: SOON };
    let get = || http::get(&lab.client, "http://203.0.113.2:8080/", short).unwrap().exit_code;
    let table = |verdict: &str| {
        format!(
            "table inet test {{ chain input {{ type filter hook input priority 0; \
             tcp dport 8080 {verdict}; }}; }}"
        )
    };
    assert_eq!(get(), 0);
    lab.server.nft(&table("reject with tcp reset")).unwrap();
    assert_eq!(get(), 7);
    lab.server.nft("delete table inet test").unwrap();
    lab.server.nft(&table("drop")).unwrap();
    assert_eq!(get(), 28);
    lab.server.nft("delete table inet test").unwrap();
    assert_eq!(get(), 0);
    let error = lab.server.nft("table inet test { nonsense }").unwrap_err();
    assert!(format!("{error:#}").contains("nonsense"), "{error:#}");
}

#[test]
fn a_lab_goes_with_all_that_is_in_it() {
    let lab = Lab::routed(&RoutedOptions::default()).unwrap();
    let stubborn = lab.gateway.spawn(&["sh", "-c", "trap '' TERM; sleep 1000"]).unwrap();
    let pid = stubborn.pid();
    // Forgotten by its owner, it is still a process of the namespace.
    std::mem::forget(stubborn);
    let names = [&lab.client, &lab.isp, &lab.gateway, &lab.server].map(|n| n.name().to_owned());
    assert!(names.iter().all(|name| exists(name)));
    drop(lab);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    assert!(stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")));
    assert!(!names.iter().any(|name| exists(name)));
}

#[test]
fn a_lab_goes_on_panic() {
    let mut name = String::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::pair(&PairOptions::default()).unwrap();
        lab.sender.name().clone_into(&mut name);
        assert!(!exists(&name), "the panic that this test is about");
    }));
    assert!(panicked.is_err());
    assert!(!name.is_empty() && !exists(&name));
}

#[test]
fn pairs_have_queues_and_silence() {
    let options = PairOptions { links: 2, queues: 2, mtu: 9000, offloads: false };
    let lab = Lab::pair(&options).unwrap();
    assert_eq!(lab.wires.len(), 2);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mon1.pcap");
    let sniffer = Tcpdump::start(&lab.monitor, "mon1", &file, "").unwrap();
    for wire in &lab.wires {
        let shown = lab.monitor.ip(&format!("-details link show {}", wire.monitor)).unwrap();
        assert!(shown.contains("numtxqueues 2 numrxqueues 2"), "{shown}");
        assert!(shown.contains(&wire.monitor_mac) && shown.contains("mtu 9000"), "{shown}");
        let addresses = lab.monitor.ip(&format!("-oneline addr show {}", wire.monitor)).unwrap();
        assert!(!addresses.contains("inet"), "{addresses}");
    }
    let send = "import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('tx1', 0))
s.send(bytes.fromhex('020000010102 020000010101 88b5') + b'x' * 9000)";
    lab.sender.run(&["python3", "-c", send]).unwrap();
    wait_until(SOON, "the frame", || Ok((std::fs::metadata(&file)?.len() > 9000).then_some(())))
        .unwrap();
    sniffer.stop().unwrap();
    let frames = readers::tshark(&[file], "", &["frame.len", "eth.type"]).unwrap();
    assert_eq!(frames, [["9014", "0x88b5"]], "the frame that was sent, and no other");
}

#[test]
fn closures_run_inside() {
    let lab = Lab::pair(&PairOptions::default()).unwrap();
    let links = || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    assert!(lab.sender.enter(links).unwrap().contains("tx0:"));
    assert!(!links().contains("tx0:"), "the calling thread stays outside");
    let error = lab.sender.enter(|| assert!(links().is_empty(), "meant to panic")).unwrap_err();
    assert!(error.to_string().contains(lab.sender.name()));
}
