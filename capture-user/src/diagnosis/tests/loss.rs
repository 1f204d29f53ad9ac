use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Certain, Likely, Possible},
        Direction::{ClientToServer, ServerToClient},
        Question, Side,
        Verdict::{LossDownstream, LossUpstream},
    },
    flows::End::{self, Client, Server},
};

/// Data of an end of which every tenth segment was lost behind us.
fn lossy_downstream(end: End, losses: u32) -> Script {
    let mut script = Script::usual();
    script.open().request(3).ack(end.other());
    for _ in 0..losses {
        for _ in 0..9 {
            script.after(1).data(end, 1_400).after(1).ack(end.other());
        }
        script.after(1).data(end, 1_400).data(end, 1_400).data(end, 1_400);
        script.after(10).same_ack(end.other()).same_ack(end.other());
        script.after(50).again(end, 2_800, 1_400).after(10).ack(end.other());
    }
    script
}

/// The same, lost before us.
fn lossy_upstream(end: End, losses: u32) -> Script {
    let mut script = Script::usual();
    script.open().request(3).ack(end.other());
    for _ in 0..losses {
        for _ in 0..9 {
            script.after(1).data(end, 1_400).after(1).ack(end.other());
        }
        script.after(1).unseen(end, 1_400).data(end, 1_400).data(end, 1_400);
        script.after(10).same_ack(end.other()).same_ack(end.other());
        script.after(50).again(end, 2_800, 1_400).after(10).ack(end.other());
    }
    script
}

#[test]
fn loss_is_on_the_right_side() {
    let cases = [
        (lossy_upstream(Server, 8), LossUpstream, Side::ServerNetwork, ServerToClient),
        (lossy_downstream(Server, 8), LossDownstream, Side::ClientNetwork, ServerToClient),
        (lossy_upstream(Client, 8), LossUpstream, Side::ClientNetwork, ClientToServer),
        (lossy_downstream(Client, 8), LossDownstream, Side::ServerNetwork, ClientToServer),
    ];
    for (script, verdict, side, direction) in cases {
        let report = report(&[&script]);
        expect(&report, &[(verdict, side, direction, Certain)]);
        assert_eq!(report.findings[0].counts["retransmissions"], 8);
        assert!(report.findings[0].why[0].contains(" %"), "{report}");
    }
}

#[test]
fn little_loss_is_less_certain_and_one_is_none() {
    let short = |script: &Script| -> Vec<_> {
        report(&[script]).findings.iter().map(|finding| finding.confidence).collect()
    };
    assert_eq!(short(&lossy_downstream(Server, 1)), []);
    assert_eq!(short(&lossy_upstream(Server, 1)), []);
    assert_eq!(short(&lossy_downstream(Server, 2)), [Possible]);
    assert_eq!(short(&lossy_upstream(Server, 2)), [Likely]);
    assert_eq!(short(&lossy_downstream(Server, 3)), [Likely]);
}

/// After a timeout a sender resends what was not lost, too.
#[test]
fn a_by_product_is_no_finding() {
    let mut script = lossy_upstream(Server, 12);
    script.after(1).data(Server, 1_400).data(Server, 1_400);
    script.after(300).again(Server, 1_400, 1_400).again(Server, 0, 1_400).after(10).ack(Client);
    expect(&report(&[&script]), &[(LossUpstream, Side::ServerNetwork, ServerToClient, Certain)]);
    let mut both = lossy_upstream(Server, 6);
    for _ in 0..6 {
        both.after(1).data(Server, 1_400).after(300).again(Server, 0, 1_400).after(10).ack(Client);
    }
    assert_eq!(super::report_verdicts(&both), [LossUpstream, LossDownstream]);
}

#[test]
fn a_few_losses_in_a_long_transfer_are_none() {
    let mut script = lossy_downstream(Server, 3);
    script.request(3_500);
    expect(&report(&[&script]), &[]);
}

#[test]
fn loss_of_handshakes_counts_where_it_happened() {
    // Three SYNs, of which the first two got lost beyond us.
    let mut script = Script::usual();
    script.syns(&[0, 1_000, 3_000]).after(20).syn_ack().after(10).ack(Client).request(3);
    expect(&report(&[&script]), &[(LossDownstream, Side::ServerNetwork, ClientToServer, Possible)]);
    // Three SYN-ACKs, of which the first two did.
    let mut script = Script::usual();
    for time in [0, 1_000, 3_000] {
        script.at(time).syn().after(20).syn_ack();
    }
    script.after(10).ack(Client).request(3);
    expect(&report(&[&script]), &[(LossDownstream, Side::ClientNetwork, ServerToClient, Possible)]);
}

#[test]
fn old_loss_is_not_asked_for() {
    let script = lossy_downstream(Server, 8);
    let ended = (script.record().last - WALL) as u64 / 1_000_000;
    let before = Question { since: Some(wall(ended - 500)), ..question() };
    assert_eq!(report_to(&[&script], &before).verdict, LossDownstream);
    let mut later = lossy_downstream(Server, 8);
    later.after(5_000).request(3);
    let after = Question { since: Some(wall(ended + 1_000)), ..question() };
    expect(&report_to(&[&later], &after), &[]);
}
