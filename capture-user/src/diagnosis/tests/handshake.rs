use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Certain, Likely, Possible},
        Direction::ServerToClient,
        Question, Side,
        Verdict::{AnswerLostToClient, DroppedByGateway},
    },
    flows::End::{Client, Server},
};

fn unheard(script: &mut Script, tries: u64) {
    for number in 0..tries {
        script.at(number * 1_000).syn().after(20).syn_ack();
    }
    script.after(800).syn();
}

#[test]
fn answers_that_get_lost_behind_us() {
    let mut script = Script::usual();
    unheard(&mut script, 3);
    let certain = report(&[&script]);
    expect(&certain, &[(AnswerLostToClient, Side::ClientNetwork, ServerToClient, Certain)]);
    assert_eq!(certain.findings[0].counts["syn_acks_left"], 3);
    let mut once = Script::usual();
    unheard(&mut once, 1);
    let likely = report(&[&once]);
    expect(&likely, &[(AnswerLostToClient, Side::ClientNetwork, ServerToClient, Likely)]);
}

#[test]
fn a_client_that_went_silent_may_be_a_flood() {
    let mut script = Script::usual();
    script.syn().after(20).syn_ack().after(1_000).syn_ack().after(2_000).syn_ack();
    let report = report(&[&script]);
    expect(&report, &[(AnswerLostToClient, Side::ClientNetwork, ServerToClient, Possible)]);
    assert!(report.findings[0].why.iter().any(|why| why.contains("SYN flood")), "{report}");
}

#[test]
fn answers_that_do_not_leave() {
    let mut script = Script::usual();
    script.stays(Server);
    unheard(&mut script, 3);
    expect(&report(&[&script]), &[(DroppedByGateway, Side::Gateway, ServerToClient, Likely)]);
    let question = Question { syns_left_unknown: 1, ..question() };
    expect(
        &report_to(&[&script], &question),
        &[(DroppedByGateway, Side::Gateway, ServerToClient, Possible)],
    );
}

#[test]
fn where_nothing_is_seen_leaving_nothing_tells() {
    let mut script = Script::usual();
    script.stays(Server).stays(Client);
    unheard(&mut script, 3);
    expect(
        &report(&[&script]),
        &[(AnswerLostToClient, Side::ClientNetwork, ServerToClient, Possible)],
    );
}
