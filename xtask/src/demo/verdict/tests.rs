//! Samples of the daemon's answer, and what is made of them.

use super::*;

const REJECTED: &str = r#"{"services": [
    {"service": "203.0.113.2:8001", "protocol": "tcp", "flows": 3, "healthy_flows": 3,
     "verdict": "healthy", "findings": []},
    {"service": "203.0.113.2:8002", "protocol": "tcp", "flows": 1, "healthy_flows": 0,
     "verdict": "host-rejects", "findings": [
        {"verdict": "host-rejects", "sentence": "The host says no.", "side": "server",
         "direction": "client_to_server", "confidence": "certain", "flows": 1},
        {"verdict": "answer-lost-to-client", "sentence": "The client does not hear it.",
         "side": "client_network", "direction": "server_to_client", "confidence": "likely"}]},
    {"service": "[2001:db8:3::2]:8024", "protocol": "tcp", "flows": 1, "healthy_flows": 0,
     "verdict": "nothing-listens", "findings": [
        {"verdict": "nothing-listens", "sentence": "Nobody is at home.", "side": "server"}]}]}"#;

const EXPECTED: Expected = Expected {
    verdict: Verdict::HostRejects,
    sides: &[Side::Server],
    also: &[Verdict::AnswerLostToClient],
};

fn said(json: &str, service: &str) -> Result<Said> {
    Said::parse(json, service.parse().unwrap(), "tcp")
}

#[test]
fn names_are_those_that_were_agreed_on() {
    let ids = "healthy host-rejects hop-rejects nothing-listens reset-in-between silent-drop-beyond \
               dropped-by-gateway answer-lost-to-client loss-upstream loss-downstream receiver-slow \
               mtu-black-hole server-slow";
    assert!(ids.split_whitespace().eq(Verdict::ALL.map(|verdict| verdict.to_string())));
    for verdict in Verdict::ALL {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    }
    assert_eq!(Side::ClientNetwork.to_string(), "client_network");
}

#[test]
fn what_is_said_of_the_service_is_found() {
    let rejected = said(REJECTED, "203.0.113.2:8002").unwrap();
    assert_eq!(
        rejected.to_string(),
        "host-rejects (server): The host says no; also answer-lost-to-client"
    );
    assert!(rejected.disappointments(&EXPECTED).is_empty());
    let closed = said(REJECTED, "[2001:db8:3::2]:8024").unwrap();
    assert_eq!((closed.verdict, closed.side), (Verdict::NothingListens, Some(Side::Server)));
    let healthy = said(REJECTED, "203.0.113.2:8001").unwrap();
    assert_eq!(healthy.to_string(), "healthy");
    assert!(healthy.disappointments(&Expected::only(Verdict::Healthy, &[])).is_empty());
}

#[test]
fn what_differs_is_named() {
    let rejected = said(REJECTED, "203.0.113.2:8002").unwrap();
    let other = Expected { verdict: Verdict::NothingListens, ..EXPECTED };
    let found = rejected.disappointments(&other);
    assert_eq!(found, ["verdict: host-rejects, expected nothing-listens"]);
    let other = Expected { sides: &[Side::Gateway, Side::ServerNetwork], ..EXPECTED };
    let found = rejected.disappointments(&other);
    assert_eq!(found, ["side at fault: server, expected gateway or server_network"]);
    let other = Expected { also: &[Verdict::ServerSlow], ..EXPECTED };
    assert_eq!(rejected.disappointments(&other), ["server-slow is not among the findings"]);
    let healthy = said(REJECTED, "203.0.113.2:8001").unwrap();
    assert_eq!(healthy.disappointments(&EXPECTED).len(), 1);
    let silent = Said { side: None, ..rejected };
    assert_eq!(silent.disappointments(&EXPECTED), ["no side at fault is named"]);
}

#[test]
fn an_answer_that_says_nothing_of_the_service_is_refused() {
    let error = said(REJECTED, "203.0.113.2:8003").unwrap_err().to_string();
    assert!(error.contains("nothing of 203.0.113.2:8003 (tcp)"), "{error}");
    let service = "203.0.113.2:8002".parse().unwrap();
    assert!(Said::parse(REJECTED, service, "udp").is_err());
}

#[test]
fn an_answer_of_another_format_is_refused() {
    for (from, to) in [
        ("\"host-rejects\"", "\"host-refuses\""),
        ("\"server\"", "\"the server\""),
        ("\"services\"", "\"diagnosis\""),
        ("203.0.113.2:8002", "web server"),
        ("\"sentence\"", "\"text\""),
    ] {
        assert!(REJECTED.contains(from));
        let error = said(&REJECTED.replace(from, to), "203.0.113.2:8002").unwrap_err();
        assert!(error.to_string().contains("not in the format"), "{to}: {error}");
    }
}

#[test]
fn a_verdict_without_a_finding_is_refused() {
    let bare = r#"{"services":[{"service":"203.0.113.2:8002","protocol":"tcp",
        "verdict":"server-slow","findings":[]}]}"#;
    let error = said(bare, "203.0.113.2:8002").unwrap_err().to_string();
    assert!(error.contains("no finding for its verdict server-slow"), "{error}");
}

#[test]
fn another_status_is_an_error() {
    let answer = |status| body(Answer { status, body: "{}".to_owned() });
    assert_eq!(answer(200).unwrap(), "{}");
    assert!([400, 404, 500].into_iter().all(|status| answer(status).is_err()));
}
