//! What healthy traffic has too must raise nothing.

use capture_common::flow::tcp_flags::ACK;

use super::{expect, fixture::*};
use crate::{
    diagnosis::Verdict,
    flows::End::{Client, Server},
};

#[track_caller]
fn is_healthy(script: &Script) {
    expect(&report(&[script]), &[]);
    expect(&report(&[script, &neighbour()]), &[]);
}

#[test]
fn the_ends_are_the_right_way_round() {
    let mut script = Script::usual();
    script.open().request(2).close();
    let record = script.record();
    assert_eq!((record.client, record.server), script.ends());
}

#[test]
fn a_download_is_healthy() {
    let mut script = Script::usual();
    script.open().request(500).close();
    let report = report(&[&script]);
    expect(&report, &[]);
    assert_eq!(report.sentence, "203.0.113.2:8002 is healthy: 1 flow, none in trouble.");
    assert_eq!((report.flows, report.healthy_flows), (1, 1));
}

#[test]
fn ends_that_close_by_reset_are_healthy() {
    for end in [Client, Server] {
        let mut after_fin = Script::usual();
        after_fin.open().request(3).close().rst(end);
        is_healthy(&after_fin);
        let mut in_the_middle = Script::usual();
        in_the_middle.open().request(3).after(1).rst(end);
        is_healthy(&in_the_middle);
        let mut after_idling = Script::usual();
        after_idling.open().request(3).after(20_000).rst(end);
        is_healthy(&after_idling);
    }
}

#[test]
fn a_port_scan_is_no_trouble_of_the_server() {
    let mut script = Script::usual();
    script.syn().after(20).syn_ack().after(10).rst(Client);
    is_healthy(&script);
}

#[test]
fn keep_alives_are_healthy() {
    let mut script = Script::usual();
    script.open().request(3);
    for _ in 0..20 {
        // The last byte before the next one, 1,201.
        script.after(1_000).segment(Client, ACK, 1_200, 0).after(20).same_ack(Server);
    }
    is_healthy(&script);
}

#[test]
fn window_updates_and_a_moment_of_zero_window_are_healthy() {
    let mut script = Script::usual();
    script.open().request(3);
    for window in [300, 200, 100, 600] {
        script.after(1).window(Client, window).same_ack(Client);
    }
    script.data(Server, 1_400).after(1).window(Client, 0).ack(Client);
    script.after(5).window(Client, 500).same_ack(Client).after(1).data(Server, 1_400);
    script.after(5).ack(Client);
    is_healthy(&script);
}

#[test]
fn a_stray_retransmission_is_healthy() {
    let mut script = Script::usual();
    script.open().request(50);
    script.after(1).data(Server, 1_400).after(300).again(Server, 0, 1_400).after(10).ack(Client);
    is_healthy(&script);
    // Already acknowledged.
    script.after(300).again(Server, 0, 1_400).after(300).again(Server, 1_400, 1_400);
    is_healthy(&script);
}

#[test]
fn a_syn_of_just_now_is_too_early_to_judge() {
    let mut script = Script::usual();
    script.at(28_500).syn();
    let pending = report(&[&script]);
    expect(&pending, &[]);
    assert_eq!(
        pending.sentence,
        "203.0.113.2:8002: 1 flow, opened just now: too early to say more."
    );
    script.at(29_900).syn_ack();
    is_healthy(&script);
    // The first SYN was lost, the second one is answered.
    let mut script = Script::usual();
    script.syns(&[28_000, 29_000]).after(20).syn_ack();
    is_healthy(&script);
}

#[test]
fn one_syn_that_was_lost_is_healthy() {
    let mut script = Script::usual();
    script.syns(&[0, 1_000]).after(20).syn_ack().after(10).ack(Client).request(3).close();
    is_healthy(&script);
}

#[test]
fn a_client_that_thinks_is_healthy() {
    let mut script = Script::usual();
    script.open().request(2).after(9_000).request(2).after(9_000).request(2);
    is_healthy(&script);
    let mut silent = Script::usual();
    silent.open().after(25_000).close();
    is_healthy(&silent);
}

#[test]
fn a_log_receiver_that_never_answers_is_healthy() {
    let mut script = Script::tcp(CLIENT, "203.0.113.2:514");
    script.open().after(1).data(Client, 300).after(20).ack(Server);
    is_healthy(&script);
    let mut other_port = Script::usual();
    other_port.open();
    for _ in 0..5 {
        other_port.after(2_500).data(Client, 300).after(20).ack(Server);
    }
    is_healthy(&other_port);
}

#[test]
fn late_answers_by_udp_are_healthy() {
    let mut script = Script::udp("203.0.113.53:53", "192.0.2.7:41000");
    script.icmp(Client, "192.0.2.7", (3, 3));
    is_healthy(&script);
}

#[test]
fn traceroutes_are_healthy() {
    let mut probe = Script::udp("192.0.2.7:41000", "203.0.113.2:33440");
    probe.icmp(Client, ROUTER, (11, 0)).icmp(Client, ROUTER, (11, 0));
    is_healthy(&probe);
    let mut end = Script::udp("192.0.2.7:41000", "203.0.113.2:33445");
    end.icmp(Client, "203.0.113.2", (3, 3));
    is_healthy(&end);
    let mut ping = Script::new("192.0.2.7:0", "203.0.113.2:0", 1, 0);
    ping.icmp(Client, ROUTER, (11, 0)).icmp(Client, ROUTER, (11, 0));
    is_healthy(&ping);
    let mut by_tcp = Script::usual();
    by_tcp.syn().after(5).icmp(Client, ROUTER, (11, 0));
    let report = report(&[&by_tcp]);
    assert_ne!(report.verdict, Verdict::HopRejects);
}

#[test]
fn redirects_and_path_mtu_discovery_are_healthy() {
    let mut redirected = Script::usual();
    redirected.open().icmp(Client, ROUTER, (5, 1)).request(3).close();
    is_healthy(&redirected);
    let mut discovers = Script::usual();
    discovers.open().after(1).data(Client, 200).after(20).ack(Server);
    for _ in 0..10 {
        discovers.data(Server, 1_448);
    }
    discovers.after(2).icmp_came(Server, ROUTER, (3, 4), 1_400);
    for back in (0..10).rev() {
        discovers.again(Server, back * 1_448 + 60, 1_388).again(Server, back * 1_448, 60);
    }
    discovers.after(10).ack(Client).request(20).close();
    is_healthy(&discovers);
}

#[test]
fn errors_that_packets_overcame_are_healthy() {
    let mut script = Script::usual();
    script.open().request(1).icmp(Client, ROUTER, (3, 1)).after(500).request(3);
    is_healthy(&script);
    script.close();
    is_healthy(&script);
}

#[test]
fn one_direction_only_is_healthy() {
    let mut to_server = Script::usual();
    to_server.syn().after(30);
    to_server.syn_ack_unseen().ack(Client).data(Client, 200).after(40).data(Client, 200);
    is_healthy(&to_server);
    let mut to_client = Script::usual();
    to_client.syn_ack().after(40).data(Server, 1_400).after(1).data(Server, 1_400);
    is_healthy(&to_client);
}
