use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Certain, Likely, Possible},
        Direction::{ClientToServer, ServerToClient},
        Side,
        Verdict::{AnswerLostToClient, DroppedByGateway, HopRejects, HostRejects},
    },
    flows::End::{Client, Server},
};

const HOST: &str = "203.0.113.2";

#[test]
fn a_host_that_rejects() {
    for code in [2, 3, 9, 10, 13] {
        let mut script = Script::usual();
        script.syn().after(5).icmp(Client, HOST, (3, code));
        let report = report(&[&script]);
        expect(&report, &[(HostRejects, Side::Server, ClientToServer, Certain)]);
        assert!(report.sentence.contains(&format!("(3/{code})")), "{report}");
    }
    for code in [1, 4, 5, 6] {
        let mut script = Script::tcp("[2001:db8::7]:40000", "[2001:db8::2]:80");
        script.syn().after(5).icmp(Client, "2001:db8::2", (1, code));
        let report = report(&[&script]);
        expect(&report, &[(HostRejects, Side::Server, ClientToServer, Certain)]);
        assert_eq!(report.service, "[2001:db8::2]:80");
    }
}

/// The server's firewall rejects, and the client's provider drops ICMP.
#[test]
fn a_rejection_that_the_client_does_not_hear() {
    let mut script = Script::usual();
    for time in [0, 1_000, 3_000] {
        script.at(time).syn().after(1).icmp(Client, HOST, (3, 3));
    }
    let report = report(&[&script]);
    expect(
        &report,
        &[
            (HostRejects, Side::Server, ClientToServer, Certain),
            (AnswerLostToClient, Side::ClientNetwork, ServerToClient, Likely),
        ],
    );
    assert_eq!(report.findings[0].counts["icmp_errors"], 3);
    assert_eq!(report.findings[1].counts["syns_again"], 2);
    // Of one error it is the time that tells.
    let mut once = Script::usual();
    once.syn().after(1).icmp(Client, HOST, (3, 3)).after(1_000).syn();
    assert_eq!(super::report_verdicts(&once), [HostRejects, AnswerLostToClient]);
}

#[test]
fn a_client_that_hears_late_has_heard() {
    let mut script = Script::usual();
    script.syns(&[0, 1_000]).after(1).icmp(Client, HOST, (3, 3));
    expect(&report(&[&script]), &[(HostRejects, Side::Server, ClientToServer, Certain)]);
}

#[test]
fn an_error_that_does_not_leave_was_dropped_here() {
    let mut script = Script::usual();
    for time in [0, 1_000, 3_000] {
        script.at(time).syn().after(1).icmp_came(Client, HOST, (3, 3), 0);
    }
    expect(
        &report(&[&script]),
        &[
            (HostRejects, Side::Server, ClientToServer, Certain),
            (DroppedByGateway, Side::Gateway, ServerToClient, Likely),
        ],
    );
}

#[test]
fn a_client_may_go_on_after_a_soft_error() {
    let mut script = Script::usual();
    for time in [0, 1_000, 3_000] {
        script.at(time).syn().after(1).icmp(Client, ROUTER, (3, 1));
    }
    expect(
        &report(&[&script]),
        &[
            (HopRejects, Side::ServerNetwork, ClientToServer, Certain),
            (AnswerLostToClient, Side::ClientNetwork, ServerToClient, Possible),
        ],
    );
}

#[test]
fn a_router_that_rejects_or_knows_no_way() {
    for (kind, code) in [(3, 0), (3, 1), (3, 3), (3, 13)] {
        let mut script = Script::usual();
        script.syn().after(5).icmp(Client, ROUTER, (kind, code));
        let report = report(&[&script]);
        expect(&report, &[(HopRejects, Side::ServerNetwork, ClientToServer, Certain)]);
        assert!(report.sentence.contains(ROUTER), "{report}");
    }
    let mut loops = Script::usual();
    for time in [0, 1_000, 3_000] {
        loops.at(time).syn().after(5).icmp(Client, ROUTER, (11, 0));
    }
    let loops = report(&[&loops]);
    assert_eq!(loops.verdict, HopRejects);
    assert!(loops.sentence.contains("circles"), "{loops}");
    for (kind, code) in [(1, 0), (1, 3)] {
        let mut script = Script::tcp("[2001:db8::7]:40000", "[2001:db8::2]:80");
        script.syn().after(5).icmp(Client, "2001:db8:5::1", (kind, code));
        expect(&report(&[&script]), &[(HopRejects, Side::ServerNetwork, ClientToServer, Certain)]);
    }
}

#[test]
fn a_gateway_that_rejects_says_so_itself() {
    for code in [0, 1, 3, 13] {
        let mut script = Script::usual();
        script.stays(Client).syn().icmp_made(Client, GATEWAY, (3, code), 0);
        let report = report(&[&script]);
        expect(&report, &[(DroppedByGateway, Side::Gateway, ClientToServer, Certain)]);
        assert!(report.sentence.contains(&format!("(3/{code})")), "{report}");
    }
}

#[test]
fn a_service_of_this_host_that_rejects() {
    let mut script = Script::tcp(CLIENT, "198.51.100.1:22");
    script.own(Server).stays(Client).syn().icmp_made(Client, GATEWAY, (3, 3), 0);
    let report = report(&[&script]);
    expect(&report, &[(HostRejects, Side::Server, ClientToServer, Certain)]);
    assert!(report.findings[0].why.iter().any(|why| why.contains("this host itself")), "{report}");
}

#[test]
fn a_client_that_rejects_answers() {
    let mut script = Script::usual();
    script.syn();
    for _ in 0..2 {
        script.after(1_000).syn_ack().after(1).icmp(Server, "192.0.2.7", (3, 10));
    }
    let report = report(&[&script]);
    expect(&report, &[(HostRejects, Side::Client, ServerToClient, Certain)]);
}

#[test]
fn an_error_in_the_hosts_name_from_elsewhere_is_less_certain() {
    let mut script = Script::usual();
    script.syn().after(5).icmp(Client, HOST, (3, 10));
    let mut other = neighbour();
    expect(&report(&[&script, &other]), &[(HostRejects, Side::Server, ClientToServer, Certain)]);
    other = Script::tcp("192.0.2.7:40001", "203.0.113.2:80");
    other.ttl(Server, 47).open().request(1);
    expect(&report(&[&script, &other]), &[(HostRejects, Side::Server, ClientToServer, Likely)]);
}

#[test]
fn a_udp_port_on_which_nothing_listens() {
    let mut script = Script::udp("192.0.2.7:41000", "203.0.113.2:53");
    script.icmp(Client, HOST, (3, 3));
    let report = report(&[&script]);
    expect(&report, &[(HostRejects, Side::Server, ClientToServer, Certain)]);
    assert_eq!(report.protocol, "udp");
    assert!(report.sentence.contains("nothing listens on the UDP port"), "{report}");
    assert!(report.findings[0].show.tshark.contains("udp.port == 53"), "{report}");
}

#[test]
fn an_open_connection_that_is_rejected_later() {
    let mut script = Script::usual();
    script.open().request(2).after(5_000).data(Client, 100).after(5).icmp(Client, HOST, (3, 13));
    assert_eq!(report(&[&script]).verdict, HostRejects);
}
