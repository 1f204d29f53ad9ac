use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Certain, Likely, Possible},
        Direction::{ClientToServer, ServerToClient},
        Side,
        Verdict::{LossDownstream, MtuBlackHole},
    },
    flows::End::{self, Client, Server},
};

/// The answer's first segments are large and vanish; what is behind them is small and arrives.
fn black_hole(end: End, hears_small: bool) -> Script {
    let mut script = Script::usual();
    script.open().after(1).data(end.other(), 100).after(20).ack(end);
    script.data(end, 1_448).data(end, 1_448).data(end, 100);
    if hears_small {
        script.after(10).same_ack(end.other());
    }
    script
}

fn resend(script: &mut Script, end: End) {
    for wait in [300, 600, 1_200, 2_400] {
        script.after(wait).again(end, 1_548, 1_448);
    }
}

#[test]
fn large_segments_that_vanish_without_a_word() {
    for (end, side, direction) in [
        (Server, Side::ClientNetwork, ServerToClient),
        (Client, Side::ServerNetwork, ClientToServer),
    ] {
        let mut script = black_hole(end, true);
        resend(&mut script, end);
        let report = report(&[&script]);
        expect(&report, &[(MtuBlackHole, side, direction, Likely)]);
        assert_eq!(report.findings[0].counts["segment_bytes"], 1_448);
        let mut gone = black_hole(end, false);
        resend(&mut gone, end);
        expect(&super::fixture::report(&[&gone]), &[(MtuBlackHole, side, direction, Possible)]);
    }
}

#[test]
fn a_sender_that_does_not_act_on_the_report() {
    let mut script = black_hole(Server, true);
    for wait in [300, 600, 1_200] {
        script.icmp_made(Server, ROUTER, (3, 4), 1_400).after(wait).again(Server, 1_548, 1_448);
    }
    let report = report(&[&script]);
    expect(&report, &[(MtuBlackHole, Side::ServerNetwork, ServerToClient, Certain)]);
    assert_eq!(report.findings[0].counts["mtu"], 1_400);
    assert!(report.findings[0].why[1].contains(ROUTER), "{report}");
}

#[test]
fn a_report_that_does_not_leave() {
    let mut script = black_hole(Server, true);
    for wait in [300, 600, 1_200] {
        script.icmp_came(Server, ROUTER, (3, 4), 1_400).after(wait).again(Server, 1_548, 1_448);
    }
    expect(&report(&[&script]), &[(MtuBlackHole, Side::Gateway, ServerToClient, Likely)]);
}

/// Where large segments passed before, it is loss, or the receiver is gone.
#[test]
fn a_receiver_that_goes_away_is_no_black_hole() {
    let mut script = Script::usual();
    script.open().request(40).data(Server, 1_400);
    for wait in [300, 600, 1_200, 2_400] {
        script.after(wait).again(Server, 0, 1_400);
    }
    expect(&report(&[&script]), &[(LossDownstream, Side::ClientNetwork, ServerToClient, Likely)]);
}

#[test]
fn small_segments_make_no_black_hole() {
    let mut script = Script::usual();
    script.open().data(Client, 300);
    for wait in [300, 600, 1_200, 2_400] {
        script.after(wait).again(Client, 0, 300);
    }
    expect(&report(&[&script]), &[(LossDownstream, Side::ServerNetwork, ClientToServer, Likely)]);
}
