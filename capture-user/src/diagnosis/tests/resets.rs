use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Certain, Likely, Possible},
        Direction::{ClientToServer, ServerToClient},
        Side,
        Verdict::{AnswerLostToClient, DroppedByGateway, NothingListens, ResetInBetween},
    },
    flows::End::{Client, Server},
};

fn refused(ttl: u8) -> Script {
    let mut script = Script::usual();
    script.ttl(Server, ttl).syn().after(5).rst(Server);
    script
}

#[test]
fn nothing_listens() {
    let alone = report(&[&refused(63)]);
    expect(&alone, &[(NothingListens, Side::Server, ClientToServer, Likely)]);
    let compared = report(&[&refused(63), &neighbour()]);
    expect(&compared, &[(NothingListens, Side::Server, ClientToServer, Certain)]);
    let few_hops = report(&[&refused(61), &neighbour()]);
    expect(&few_hops, &[(NothingListens, Side::Server, ClientToServer, Certain)]);
}

#[test]
fn a_client_that_tries_again_at_once_has_heard() {
    let mut windows = refused(63);
    windows.after(500).syn().after(5).rst(Server).after(500).syn().after(5).rst(Server);
    expect(
        &report(&[&windows, &neighbour()]),
        &[(NothingListens, Side::Server, ClientToServer, Certain)],
    );
    windows.after(4_000).syn().after(5).rst(Server);
    expect(
        &report(&[&windows, &neighbour()]),
        &[
            (NothingListens, Side::Server, ClientToServer, Certain),
            (AnswerLostToClient, Side::ClientNetwork, ServerToClient, Likely),
        ],
    );
}

#[test]
fn a_reset_from_elsewhere() {
    // 250: five hops from 255, where the server's packets have come one hop from 64.
    let report_250 = report(&[&refused(250), &neighbour()]);
    expect(&report_250, &[(ResetInBetween, Side::ServerNetwork, ServerToClient, Likely)]);
    assert_eq!(report_250.findings[0].counts["reset_ttl"], 250);
    assert_eq!(report_250.findings[0].counts["other_ttl"], 63);
    // 254 may have come one hop as well.
    let report_254 = report(&[&refused(254), &neighbour()]);
    expect(&report_254, &[(ResetInBetween, Side::ServerNetwork, ServerToClient, Possible)]);
}

#[test]
fn an_open_connection_that_something_breaks() {
    for (end, side, direction) in [
        (Client, Side::ClientNetwork, ClientToServer),
        (Server, Side::ServerNetwork, ServerToClient),
    ] {
        let mut script = Script::usual();
        script.open().request(3).after(1).ttl(end, 40).rst(end);
        let report = report(&[&script]);
        expect(&report, &[(ResetInBetween, side, direction, Likely)]);
        assert!(report.findings[0].why[0].contains("40"), "{report}");
    }
}

#[test]
fn a_gateway_that_rejects_by_reset() {
    let mut script = Script::usual();
    script.stays(Client).interface(Server, 2).ttl(Server, 64).syn().rst(Server);
    expect(
        &report(&[&script, &neighbour()]),
        &[(DroppedByGateway, Side::Gateway, ClientToServer, Certain)],
    );
    expect(&report(&[&script]), &[(DroppedByGateway, Side::Gateway, ClientToServer, Likely)]);
}

/// At a mirror port nothing is seen leaving; that makes no gateway of it.
#[test]
fn a_reset_where_nothing_is_seen_leaving() {
    let mut other = Script::tcp("192.0.2.7:40001", "203.0.113.2:80");
    other.stays(Client).stays(Server).open().request(2);
    let mut script = Script::usual();
    script.stays(Client).interface(Server, 2).interface(Client, 2).syn().rst(Server);
    expect(&report(&[&script, &other]), &[(NothingListens, Side::Server, ClientToServer, Certain)]);
}
