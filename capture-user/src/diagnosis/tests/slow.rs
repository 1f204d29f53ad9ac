use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::{Likely, Possible},
        Direction::ServerToClient,
        Side,
        Verdict::{LossDownstream, ServerSlow},
    },
    flows::End::{Client, Server},
};

#[test]
fn a_late_answer() {
    let mut script = Script::usual();
    script.open().after(1).data(Client, 200).after(20).ack(Server);
    script.after(2_500).data(Server, 1_400).after(10).ack(Client).close();
    let report = report(&[&script]);
    expect(&report, &[(ServerSlow, Side::Server, ServerToClient, Likely)]);
    assert_eq!(report.findings[0].counts["slowest_answer_microseconds"], 2_520_000);
    assert_eq!(report.findings[0].counts["server_rtt_microseconds"], 20_000);
}

#[test]
fn distance_explains_slow_answers() {
    let mut script = Script::usual();
    script.syn().after(600).syn_ack().after(10).ack(Client);
    script.after(1).data(Client, 200).after(600).ack(Server).after(700).data(Server, 1_400);
    script.after(10).ack(Client).close();
    expect(&report(&[&script]), &[]);
}

#[test]
fn a_request_that_got_lost_is_no_slow_server() {
    let mut script = Script::usual();
    script.open().after(1).data(Client, 200);
    script.after(600).again(Client, 0, 200).after(1_200).again(Client, 0, 200);
    script.after(20).ack(Server).data(Server, 1_400).after(10).ack(Client).close();
    let report = report(&[&script]);
    assert_eq!(report.verdict, LossDownstream, "{report}");
    assert_eq!(report.findings.len(), 1, "{report}");
}

/// Too little for a finding of loss, and yet what made the answer late.
#[test]
fn a_request_that_got_lost_once_is_no_slow_server() {
    let mut script = Script::usual();
    script.open().after(1).data(Client, 200).after(1_200).again(Client, 0, 200);
    script.after(20).ack(Server).data(Server, 1_400).after(10).ack(Client).close();
    expect(&report(&[&script]), &[]);
}

#[test]
fn a_request_that_is_not_answered_yet() {
    let mut script = Script::usual();
    script.at(19_000).open().after(1).data(Client, 200).after(20).ack(Server);
    let report = report(&[&script]);
    expect(&report, &[(ServerSlow, Side::Server, ServerToClient, Possible)]);
    assert!(report.sentence.contains("does not answer"), "{report}");
    let mut early = Script::usual();
    early.at(21_000).open().after(1).data(Client, 200).after(20).ack(Server);
    expect(&super::fixture::report(&[&early]), &[]);
}

#[test]
fn a_client_that_gave_up_waiting() {
    let mut script = Script::usual();
    script.open().after(1).data(Client, 200).after(20).ack(Server).after(5_000).fin(Client);
    expect(&report(&[&script]), &[(ServerSlow, Side::Server, ServerToClient, Possible)]);
    let mut at_once = Script::usual();
    at_once.open().after(1).data(Client, 200).after(20).ack(Server).fin(Client);
    expect(&report(&[&at_once]), &[]);
}
