//! Only frames of conversations that have shown trouble.

use std::{net::UdpSocket, path::Path, time::Duration};

use xtask::lab::{
    Daemon, HttpServer, Lab, Routed, RoutedOptions,
    daemon::segments,
    http::{self, Patience},
    readers,
    routed::{GATEWAY_OUTSIDE, SERVER_V4},
    wait_until,
};

use crate::{alone, made, traffic::write_pcap};

const PATIENCE: Duration = Duration::from_secs(20);
/// Of the conversations made by hand.
const MADE_PORTS: [u16; 3] = [7001, 7002, 7003];
const ECHO_PORT: u16 = 7;
const CLOSED_PORT: u16 = 9;

fn request(lab: &Routed, port: u16) -> i64 {
    let url = format!("http://{SERVER_V4}:{port}/");
    http::get(&lab.client, &url, Patience::default()).unwrap().exit_code
}

/// Healthy requests, refused ones, and conversations with a RST in the middle; returns how many frames
/// of these are the RST or come later.
fn tcp(lab: &Routed, directory: &Path) -> usize {
    let conversations = MADE_PORTS.map(made::reset_in_the_middle);
    let wanted = conversations.iter().map(|(frames, before)| frames.len() - before).sum();
    let length = conversations[0].0.len();
    // One frame of each in turn.
    let frames =
        (0..length).flat_map(|at| conversations.iter().map(move |(all, _)| all[at].clone()));
    let file = directory.join("resets.pcap");
    write_pcap(&file, frames);
    for _ in 0..5 {
        assert_eq!(request(lab, 80), 0);
        assert_eq!(request(lab, 81), 7);
    }
    let replay = ["tcpreplay", "--quiet", "--topspeed", "--intf1=isp1", file.to_str().unwrap()];
    lab.isp.run(&replay).unwrap();
    wanted
}

/// A healthy exchange, and datagrams to a closed port, of which each is answered by an ICMP error.
fn udp(lab: &Routed, datagrams: usize) {
    let bind = |namespace: &xtask::lab::Namespace, port: u16| {
        let socket = namespace.enter(|| UdpSocket::bind(("0.0.0.0", port))).unwrap().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let (server, client) = (bind(&lab.server, ECHO_PORT), bind(&lab.client, 0));
    let mut buffer = [0; 64];
    for _ in 0..5 {
        client.send_to(b"healthy", (SERVER_V4, ECHO_PORT)).unwrap();
        let (_, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(b"answer", from).unwrap();
        client.recv(&mut buffer).unwrap();
    }
    lab.client.run(&["ping", "-n", "-q", "-c", "2", "-i", "0.01", &SERVER_V4.to_string()]).unwrap();
    let refused = bind(&lab.client, 0);
    refused.connect((SERVER_V4, CLOSED_PORT)).unwrap();
    for _ in 0..datagrams {
        refused.send(b"nobody there").unwrap();
        refused.recv(&mut buffer).unwrap_err();
    }
}

/// Waits until so many frames are written, and lets a moment go by in which there could be more.
fn wait_for(daemon: &Daemon<'_>, frames: u64) {
    let written =
        || Ok::<u64, anyhow::Error>(daemon.metrics()?.count("capture_written_frames_total", &[]));
    wait_until(PATIENCE, &format!("{frames} frames"), || Ok((written()? >= frames).then_some(())))
        .unwrap_or_else(|error| panic!("{error}: {:?} are written", written()));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(written().unwrap(), frames);
}

#[test]
fn only_conversations_in_trouble_leave_frames() {
    const REFUSED: usize = 5;
    const DATAGRAMS: usize = 3;
    let _alone = alone();
    let lab = Lab::routed(&RoutedOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (www, stored) = (directory.path().join("www"), directory.path().join("segments"));
    std::fs::create_dir(&www).unwrap();
    http::write_site(&www, 0).unwrap();
    let _server = HttpServer::start(&lab.server, &www, 80).unwrap();
    let arguments = ["-i", GATEWAY_OUTSIDE, "-w", stored.to_str().unwrap()];
    let filter = ["--trouble", "reset", "tcp"];
    let daemon = Daemon::start(&lab.gateway, &[&arguments[..], &filter].concat()).unwrap();

    let made = tcp(&lab, directory.path());
    // Of a refused connection, the SYN came before the RST.
    let resets = REFUSED + made;
    wait_for(&daemon, resets as u64);
    daemon.set_filter(&["--trouble", "icmp-error", "udp", "or", "icmp"]).unwrap();
    udp(&lab, DATAGRAMS);
    // The first datagram came before the first error.
    wait_for(&daemon, (resets + 2 * DATAGRAMS - 1) as u64);
    daemon.stop().unwrap();

    let published = segments(&stored).unwrap();
    let fields = ["tcp.srcport", "tcp.flags.reset", "tcp.seq_raw"];
    let rows = readers::tshark(&published, "tcp", &fields).unwrap();
    let (refused, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[0] == "81");
    assert_eq!(refused.len(), REFUSED);
    assert!(refused.iter().all(|row| row[1] == "1"), "{refused:?}");
    for port in MADE_PORTS.map(|port| port.to_string()) {
        let rows = others.iter().filter(|row| row[0] == port);
        let rows: Vec<[&str; 2]> = rows.map(|row| [&row[1][..], &row[2]]).collect();
        assert_eq!(rows, [["1", "41"], ["0", "51"], ["0", "61"], ["0", "71"]], "{port}");
    }
    let rows = readers::tshark(&published, "not tcp", &["icmp.type", "udp.dstport"]).unwrap();
    let closed = CLOSED_PORT.to_string();
    let (error, datagram) = (["3", &closed], ["", &closed]);
    assert_eq!(rows, [error, datagram, error, datagram, error]);
}
