//! Each rule on scripted conversations: what it must see, and what it must not.

mod fixture;
mod handshake;
mod healthy;
mod loss;
mod mtu;
mod refusal;
mod resets;
mod services;
mod silence;
mod slow;
mod window;

use super::{Confidence, Direction, Finding, ServiceReport, Side, Verdict};

/// What a finding says, in short.
type Short = (Verdict, Side, Direction, Confidence);

fn short(finding: &Finding) -> Short {
    (finding.verdict, finding.side, finding.direction, finding.confidence)
}

/// Checks that these and no other findings are there.
#[track_caller]
fn expect(report: &ServiceReport, findings: &[Short]) {
    let found: Vec<_> = report.findings.iter().map(short).collect();
    assert_eq!(found, findings, "{report}");
    assert_eq!(report.verdict, findings.first().map_or(Verdict::Healthy, |short| short.0));
}

/// The verdicts on one conversation, the worst first.
fn report_verdicts(script: &fixture::Script) -> Vec<Verdict> {
    fixture::report(&[script]).findings.iter().map(|finding| finding.verdict).collect()
}
