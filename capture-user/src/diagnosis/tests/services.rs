use super::fixture::*;
use crate::{
    diagnosis::{Diagnosis, Question, Verdict, diagnose},
    flows::End::{Client, Server},
};

fn rejected(client: &str) -> Script {
    let mut script = Script::tcp(client, SERVER);
    script.syn().after(5).icmp(Client, "203.0.113.2", (3, 3));
    script
}

/// `count` conversations with the usual service that are fine.
fn fine(count: u32) -> Vec<Script> {
    (0..count)
        .map(|number| {
            let mut script = Script::tcp(&format!("192.0.2.9:{}", 10_000 + number), SERVER);
            script.open().request(2).close();
            script
        })
        .collect()
}

#[test]
fn one_in_trouble_among_a_thousand() {
    let (bad, good) = (rejected(CLIENT), fine(1_000));
    let all: Vec<_> = std::iter::once(&bad).chain(&good).collect();
    let report = report(&all);
    assert_eq!((report.flows, report.healthy_flows), (1_001, 1_000));
    assert_eq!(report.verdict, Verdict::HostRejects);
    assert!(report.sentence.ends_with("; 1 of 1,001 flows."), "{report}");
    assert_eq!(report.findings[0].clients, [CLIENT]);
}

#[test]
fn cases_of_one_kind_are_one_finding() {
    let scripts: Vec<_> =
        (1..=5).map(|number| rejected(&format!("192.0.2.{number}:40000"))).collect();
    let report = report(&scripts.iter().collect::<Vec<_>>());
    assert_eq!(report.findings.len(), 1);
    let finding = &report.findings[0];
    assert_eq!((finding.flows, finding.clients.len()), (5, 3));
    assert_eq!(finding.counts["icmp_errors"], 5);
    assert!(report.to_string().contains("and 2 more"), "{report}");
    assert!(report.sentence.ends_with("; all 5 flows."), "{report}");
}

/// However many are slow, and however sure that is.
#[test]
fn what_stops_conversations_is_worse_than_what_slows_them_down() {
    let mut refused = Script::usual();
    refused.syn().after(5).rst(Server);
    let slow: Vec<_> = (0..3)
        .map(|number| {
            let mut script = Script::tcp(&format!("192.0.2.9:{}", 10_000 + number), SERVER);
            // Its packets have another TTL than the RST, so that this is likely, and no more.
            script.ttl(Server, 40).open().request(1);
            for _ in 0..3 {
                script.after(1).data(Server, 1_400).after(1).window(Client, 0).ack(Client);
                script.after(300).window(Client, 500).same_ack(Client);
            }
            script
        })
        .collect();
    let report = report(&std::iter::once(&refused).chain(&slow).collect::<Vec<_>>());
    let verdicts: Vec<_> = report.findings.iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::ResetInBetween, Verdict::ReceiverSlow], "{report}");
    assert_eq!(report.verdict, Verdict::ResetInBetween);
}

#[test]
fn what_is_asked_for() {
    let (bad, other) = (rejected(CLIENT), neighbour());
    let services = |question: Question| -> Vec<String> {
        ask(&[&other, &bad], &question).services.into_iter().map(|report| report.service).collect()
    };
    let all = ["203.0.113.2:8002", "203.0.113.2:80"];
    assert_eq!(services(question()), all, "the worst comes first");
    let host = Some("203.0.113.2".parse().unwrap());
    assert_eq!(services(Question { host, ..question() }), all);
    assert_eq!(services(Question { host, port: Some(80), ..question() }), all[1..]);
    assert_eq!(services(Question { port: Some(8002), ..question() }), all[..1]);
    let client = Some("192.0.2.7".parse().unwrap());
    assert_eq!(services(Question { host: client, ..question() }), all);
    assert_eq!(services(Question { host: client, port: Some(40_001), ..question() }), all[1..]);
    let nobody = Some("192.0.2.99".parse().unwrap());
    assert!(services(Question { host: nobody, ..question() }).is_empty());
    assert!(services(Question { since: Some(wall(29_000)), ..question() }).is_empty());
    assert!(Diagnosis::default().to_string().contains("No conversation is known"));
}

#[test]
fn json_has_the_agreed_shape() {
    let json = serde_json::to_value(ask(&[&rejected(CLIENT)], &question())).unwrap();
    let service = &json["services"][0];
    assert_eq!(service["service"], "203.0.113.2:8002");
    assert_eq!(service["protocol"], "tcp");
    assert_eq!((&service["flows"], &service["healthy_flows"]), (&1.into(), &0.into()));
    assert_eq!(service["verdict"], "host-rejects");
    let finding = &service["findings"][0];
    assert_eq!(finding["verdict"], "host-rejects");
    assert_eq!(finding["side"], "server");
    assert_eq!(finding["direction"], "client_to_server");
    assert_eq!(finding["confidence"], "certain");
    assert_eq!(finding["flows"], 1);
    assert_eq!(finding["clients"][0], CLIENT);
    assert_eq!(finding["counts"]["icmp_errors"], 1);
    assert_eq!(finding["first"], "2026-03-01T12:00:00.005Z");
    assert_eq!(finding["last"], "2026-03-01T12:00:00.005Z");
    assert_eq!(finding["show"]["captured"], "captured flows 203.0.113.2:8002");
    assert_eq!(
        finding["show"]["tshark"],
        "tshark -r SEGMENT -Y 'ip.addr == 203.0.113.2 && tcp.port == 8002 && (icmp || \
         tcp.flags.syn == 1)'"
    );
    for list in ["why", "next"] {
        assert!(finding[list][0].is_string(), "{list}");
    }
}

#[test]
fn json_can_be_read_back() {
    let diagnosis = ask(&[&rejected(CLIENT), &neighbour()], &question());
    let text = serde_json::to_string(&diagnosis).unwrap();
    assert_eq!(serde_json::from_str::<Diagnosis>(&text).unwrap(), diagnosis);
}

#[test]
fn ids_are_the_same_everywhere() {
    for verdict in [
        Verdict::Healthy,
        Verdict::HostRejects,
        Verdict::HopRejects,
        Verdict::NothingListens,
        Verdict::ResetInBetween,
        Verdict::SilentDropBeyond,
        Verdict::DroppedByGateway,
        Verdict::AnswerLostToClient,
        Verdict::LossUpstream,
        Verdict::LossDownstream,
        Verdict::ReceiverSlow,
        Verdict::MtuBlackHole,
        Verdict::ServerSlow,
    ] {
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.id());
    }
}

#[test]
fn people_get_short_blocks() {
    let mut script = Script::usual();
    for time in [0, 1_000, 3_000] {
        script.at(time).syn().after(1).icmp(Client, "203.0.113.2", (3, 3));
    }
    let text = ask(&[&script, &neighbour()], &question()).to_string();
    let expected = "\
203.0.113.2:8002 (tcp): host-rejects
  The firewall of 203.0.113.2 rejects packets to port 8002 with ICMP port unreachable (3/3); \
the only flow.
  At fault: the server; packets from client to server. Certain:
    - 3 times ICMP port unreachable (3/3) from 203.0.113.2 about packets from client to server
    - 203.0.113.2 is the very host that the packets are for
    - clients sent 2 SYNs again
  Seen:     2026-03-01T12:00:00.001Z to 2026-03-01T12:00:03.001Z
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("  also: answer-lost-to-client\n"), "{text}");
    assert!(text.ends_with("203.0.113.2:80 is healthy: 1 flow, none in trouble.\n"), "{text}");
}

#[test]
fn nothing_known_is_nothing_said() {
    assert!(diagnose(&[], &question()).services.is_empty());
}
