//! The report, for people.

use std::fmt::{self, Write as _};

use super::{
    act::Played,
    report::{Checked, CheckedAct, Report},
    trouble,
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", table(&self.scenes), self.summary())?;
        let played: Vec<_> = self.scenes.iter().map(|scene| &scene.played).collect();
        if played.iter().any(|played| played.said.is_some()) {
            write!(f, "\n{}", verdicts(&played))?;
        }
        for Checked { played, disappointments, .. } in &self.scenes {
            for disappointment in disappointments {
                writeln!(f, "  scene {}, {}: {disappointment}", played.number, played.name)?;
            }
        }
        for CheckedAct { act, tshark, agrees } in &self.acts {
            if !agrees {
                let numbers: Vec<_> = act.scenes.iter().map(u8::to_string).collect();
                let numbers = numbers.join(", ");
                writeln!(
                    f,
                    "  scene {numbers}: the daemon counts {}; tshark {tshark}",
                    act.counted
                )?;
            }
        }
        self.complaints.iter().try_for_each(|complaint| writeln!(f, "  {complaint}"))
    }
}

impl Report {
    fn summary(&self) -> String {
        let frames: u64 = self.segments.iter().map(|segment| segment.frames).sum();
        let lost: u64 = self.acts.iter().map(|act| act.act.lost).sum();
        let mut text = format!("{frames} frames captured, {lost} lost. ");
        text += if self.acts.iter().all(|act| act.agrees) {
            "tshark counts the same retransmissions, RSTs,\nzero windows and ICMP unreachables in \
             the segments."
        } else {
            "tshark DISAGREES, see below."
        };
        text
    }
}

/// What is in the segments of each scene.
fn table(scenes: &[Checked]) -> String {
    let mut text = format!(
        "{:<20} {:>6} {:>4} {:>8} {:>5} {:>4} {:>7}  {:<27} {}\n",
        "", "", "SYN", "SYN-ACK", "data", "", "zero", "", ""
    );
    text += &format!(
        "{:<20} {:>6} {:>4} {:>8} {:>5} {:>4} {:>7}  {:<27} {}\n",
        "scene",
        "frames",
        "again",
        "again",
        "again",
        "RST",
        "windows",
        "ICMP unreachable",
        "client"
    );
    for Checked { played, frames, tshark, .. } in scenes {
        let Played { number, name, outcome, seconds, .. } = played;
        let unreachables: Vec<_> = tshark
            .unreachables
            .iter()
            .map(|(message, count)| format!("{count} × {}", trouble::describe(message)))
            .collect();
        // Writing to a string does not fail.
        let _written = writeln!(
            text,
            "{:<20} {frames:>6} {:>5} {:>7} {:>5} {:>4} {:>7}  {:<27} {outcome} after {seconds:.3} s",
            format!("{number} {name}"),
            tshark.syn_retransmissions,
            tshark.syn_ack_retransmissions,
            tshark.data_retransmissions,
            tshark.resets,
            tshark.zero_windows,
            unreachables.join(", "),
        );
    }
    text
}

/// What captured says of each scene.
#[must_use]
pub fn verdicts(scenes: &[&Played]) -> String {
    let mut text = String::from("captured says\n");
    for Played { number, name, outcome, said, .. } in scenes {
        let said = said.as_ref().map_or_else(
            || format!("nothing; the client's request: {outcome}"),
            ToString::to_string,
        );
        // Writing to a string does not fail.
        let _written = writeln!(text, "{:<20} {said}", format!("{number} {name}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            act::Act,
            asking::Outcome,
            crowd::Crowd,
            report::{Segment, VERSION},
            scene,
            trouble::Trouble,
            verdict::{Said, Side, Verdict},
        },
        *,
    };

    fn said(verdict: Verdict) -> Said {
        let sentence = Some("Nobody is at home.".to_owned());
        Said { verdict, side: Some(Side::Server), sentence, also: Vec::new() }
    }

    fn played(said: Option<Said>) -> Played {
        let scene = scene::select("not-listening").unwrap()[0];
        Played {
            number: scene.number,
            name: scene.name,
            description: scene.description,
            port: scene.port(),
            outcome: Outcome::Refused,
            error: None,
            seconds: 0.001,
            said,
            scene,
        }
    }

    fn report(tshark: u64, said: Option<Said>) -> Report {
        let counted = Trouble { resets: 1, ..Trouble::default() };
        let tshark = Trouble { resets: tshark, ..Trouble::default() };
        let played = played(said);
        let mut disappointments = played.scene.expectation.disappointments(played.outcome, &tshark);
        disappointments.extend(played.disappointments());
        let agrees = tshark == counted;
        let act = Act {
            scenes: vec![played.number],
            crowd: None,
            frames: 2,
            lost: 0,
            counted,
            ended: jiff::Timestamp::UNIX_EPOCH,
        };
        let scenes = vec![Checked { played, frames: 2, tshark: tshark.clone(), disappointments }];
        let acts = vec![CheckedAct { act, tshark, agrees }];
        let segments = vec![Segment { file: "a.pcapng".into(), bytes: 500, frames: 2 }];
        let mut report = Report {
            version: VERSION,
            started: "2025-01-01T00:00:00Z".to_owned(),
            seconds: 5.0,
            ok: false,
            scenes,
            acts,
            segments,
            written_frames: 2,
            look: String::new(),
            metrics_url: String::new(),
            complaints: Vec::new(),
        };
        report.judge();
        report
    }

    #[test]
    fn agreement_is_ok() {
        let report = report(1, Some(said(Verdict::NothingListens)));
        assert!(report.ok, "{report}");
        let text = report.to_string();
        assert!(text.contains("4 not-listening") && text.contains("tshark counts the same"));
        assert!(text.contains("nothing-listens (server): Nobody is at home"), "{text}");
    }

    #[test]
    fn a_difference_is_not() {
        let report = report(2, None);
        assert!(!report.ok);
        let text = report.to_string();
        assert!(text.contains("tshark DISAGREES"), "{text}");
        assert!(text.contains("scene 4: the daemon counts 0 SYN, 0 SYN-ACK and 0 data"), "{text}");
        assert!(text.contains("scene 4, not-listening: resets: 2, expected 1"), "{text}");
    }

    #[test]
    fn another_verdict_is_not() {
        let report = report(1, Some(said(Verdict::ServerSlow)));
        assert!(!report.ok);
        let text = report.to_string();
        assert!(text.contains("verdict: server-slow, expected nothing-listens"), "{text}");
    }

    #[test]
    fn frames_missing_from_the_segments_are_not() {
        let mut report = report(1, None);
        report.written_frames = 3;
        report.judge();
        assert!(!report.ok);
        assert!(report.to_string().contains("hold 2 frames, the daemon wrote 3"), "{report}");
    }

    #[test]
    fn a_crowd_that_is_not_well_is_not() {
        let mut report = report(1, None);
        assert!(report.ok);
        report.acts[0].act.crowd = Some(Crowd { requests: 5, answered: 4, said: None });
        report.judge();
        assert!(!report.ok);
        assert!(report.to_string().contains("the crowd: 4 of 5 requests"), "{report}");
    }
}
