use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Certain, Likely, Possible},
        Direction::ClientToServer,
        Question, Side,
        Verdict::{DroppedByGateway, SilentDropBeyond},
    },
    flows::End::{Client, Server},
};

const TRIES: [u64; 4] = [0, 1_000, 3_000, 7_000];

fn silent() -> Script {
    let mut script = Script::usual();
    script.syns(&TRIES);
    script
}

fn stuck() -> Script {
    let mut script = Script::usual();
    script.stays(Client).syns(&TRIES);
    script
}

#[test]
fn syns_that_vanish_beyond() {
    let alone = report(&[&silent()]);
    expect(&alone, &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Likely)]);
    assert_eq!(alone.findings[0].counts["syns_left"], 4);
    let by_port = report(&[&silent(), &neighbour()]);
    expect(&by_port, &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Certain)]);
    assert!(by_port.findings[0].why.iter().any(|why| why.contains("other ports")), "{by_port}");
    let mut fine = Script::tcp("192.0.2.8:40000", SERVER);
    fine.open().request(2);
    let by_client = report(&[&silent(), &fine]);
    assert!(by_client.findings[0].why.iter().any(|why| why.contains("the client")), "{by_client}");
    assert_eq!((by_client.flows, by_client.healthy_flows), (2, 1));
}

#[test]
fn one_syn_without_an_answer_for_long() {
    let mut script = Script::usual();
    script.at(26_900).syn();
    expect(
        &report(&[&script]),
        &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Possible)],
    );
    script.at(27_900).syn();
    expect(&report(&[&script]), &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Likely)]);
}

#[test]
fn syns_that_do_not_leave() {
    let seen = report(&[&stuck(), &neighbour()]);
    expect(&seen, &[(DroppedByGateway, Side::Gateway, ClientToServer, Certain)]);
    let mut elsewhere = Script::tcp("192.0.2.7:40001", "203.0.113.200:80");
    elsewhere.open().request(2);
    let seen_elsewhere = report(&[&stuck(), &elsewhere]);
    expect(&seen_elsewhere, &[(DroppedByGateway, Side::Gateway, ClientToServer, Likely)]);
    let alone = report(&[&stuck()]);
    expect(&alone, &[(DroppedByGateway, Side::Gateway, ClientToServer, Possible)]);
}

#[test]
fn unknown_leavers_make_it_less_certain() {
    let question = Question { syns_left_unknown: 3, ..question() };
    let report = report_to(&[&stuck(), &neighbour()], &question);
    expect(&report, &[(DroppedByGateway, Side::Gateway, ClientToServer, Likely)]);
    assert!(report.findings[0].why.iter().any(|why| why.contains("NAT")), "{report}");
}

#[test]
fn a_server_that_answers_what_was_not_seen_leaving() {
    let mut other = Script::tcp("192.0.2.7:40001", "203.0.113.2:80");
    other.stays(Client).stays(Server).open().request(2);
    expect(
        &report(&[&stuck(), &other]),
        &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Possible)],
    );
}

#[test]
fn in_tunnels_leaving_is_not_tracked() {
    let mut script = Script::new(CLIENT, SERVER, 6, 42);
    script.stays(Client).syns(&TRIES);
    let report = report(&[&script]);
    expect(&report, &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Possible)]);
    assert_eq!(report.tunnel, 42);
}

#[test]
fn this_host_itself_may_be_silent() {
    let mut script = Script::tcp(CLIENT, "198.51.100.1:22");
    script.stays(Client).syns(&TRIES);
    let report = report(&[&script, &neighbour()]);
    expect(&report, &[(DroppedByGateway, Side::Gateway, ClientToServer, Likely)]);
    assert!(report.sentence.contains("This host itself"), "{report}");
}

#[test]
fn this_host_as_client_is_not_the_one_that_drops() {
    let mut script = Script::tcp("198.51.100.1:40000", SERVER);
    script.own(Client).syns(&TRIES);
    let report = report(&[&script, &neighbour()]);
    expect(&report, &[(SilentDropBeyond, Side::ServerNetwork, ClientToServer, Certain)]);
}

/// The answer to a translated SYN is only seen as it leaves, translated back.
#[test]
fn an_answer_behind_nat_is_an_answer() {
    let mut script = Script::usual();
    script.stays(Client).syn().after(30).syn_ack_unseen().ack(Client).data(Client, 300);
    expect(&report(&[&script, &neighbour()]), &[]);
}
