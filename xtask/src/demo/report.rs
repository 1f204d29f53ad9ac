//! What the demo says at its end, for people and for programs.

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    stage::Played,
    trouble::{self, Trouble},
};
use crate::lab::{daemon, readers};

/// `report.json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this format.
    pub version: u32,
    /// When the demo began: RFC 3339, UTC.
    pub started: String,
    /// How long it took without the build.
    pub seconds: f64,
    /// All that the scenes should have shown was shown, and all sources agree.
    pub ok: bool,
    /// What came of the scenes.
    pub scenes: Vec<Checked>,
    /// The segments that were written.
    pub segments: Vec<Segment>,
    /// Frames that the daemon had written when it was last asked.
    pub written_frames: u64,
    /// The command that shows the segments.
    pub look: String,
    /// Where the daemon answered, inside the gateway's namespace.
    pub metrics_url: String,
    /// What went wrong besides scenes.
    pub complaints: Vec<String>,
}

/// A scene, and what tshark found of it in the segments.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// What the daemon and the client say.
    #[serde(flatten)]
    pub played: Played,
    /// What tshark says.
    pub tshark: Trouble,
    /// Do the daemon's counts equal tshark's?
    pub agrees: bool,
}

/// A segment.
#[derive(Debug, Serialize)]
pub struct Segment {
    /// Path.
    pub file: PathBuf,
    /// Size.
    pub bytes: u64,
    /// Frames, on which tshark, tcpdump and capinfos agree.
    pub frames: u64,
}

/// Version of `report.json`; to be raised when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

impl Checked {
    /// Asks tshark about a scene that was played.
    ///
    /// # Errors
    /// tshark failed or complained.
    pub fn new(played: Played, segments: &[PathBuf]) -> Result<Self> {
        let tshark = Trouble::of_segments(segments, played.port, played.ended)?;
        let agrees = tshark == played.counted;
        Ok(Self { played, tshark, agrees })
    }

    fn ok(&self) -> bool {
        self.agrees && self.played.disappointments.is_empty()
    }
}

/// The published segments in a directory; each is read by tshark, tcpdump and capinfos.
///
/// # Errors
/// The directory cannot be read, or a reader complained or disagreed.
pub fn read_segments(directory: &Path) -> Result<Vec<Segment>> {
    let segment = |file: PathBuf| {
        let length = file.metadata().with_context(|| format!("cannot read {}", file.display()));
        Ok(Segment { bytes: length?.len(), frames: readers::check(&file)?, file })
    };
    daemon::segments(directory)?.into_iter().map(segment).collect()
}

/// The one-line command that shows segments.
#[must_use]
pub fn look_command(segments: &[Segment], directory: &Path) -> String {
    match segments {
        [one] => format!("tshark -r {}", one.file.display()),
        _ => format!("mergecap -w - {}/*.pcapng | tshark -r -", directory.display()),
    }
}

impl Report {
    /// Notes complaints: fewer frames in the segments than were written, nothing written at all.
    /// Then sets [`Self::ok`].
    pub fn judge(&mut self) {
        let frames: u64 = self.segments.iter().map(|segment| segment.frames).sum();
        if frames < self.written_frames || frames == 0 {
            self.complaints.push(format!(
                "the segments hold {frames} frames, the daemon wrote {}",
                self.written_frames
            ));
        }
        self.ok = self.complaints.is_empty() && self.scenes.iter().all(Checked::ok);
    }

    /// Writes `report.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn verdict(&self) -> String {
        let frames: u64 = self.segments.iter().map(|segment| segment.frames).sum();
        let lost: u64 = self.scenes.iter().map(|scene| scene.played.lost).sum();
        let mut text = format!("{frames} frames captured, {lost} lost. ");
        text += if self.scenes.iter().all(|scene| scene.agrees) {
            "tshark counts the same SYN retransmissions, RSTs\nand ICMP unreachables in the segments."
        } else {
            "tshark DISAGREES, see below."
        };
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let played: Vec<_> = self.scenes.iter().map(|scene| &scene.played).collect();
        writeln!(f, "{}\n{}", table(&played), self.verdict())?;
        for Checked { played, tshark, agrees } in &self.scenes {
            for disappointment in &played.disappointments {
                writeln!(f, "  scene {}: {disappointment}", played.number)?;
            }
            if !agrees {
                let Played { number, counted, .. } = played;
                writeln!(f, "  scene {number}: the daemon counts {counted}; tshark {tshark}")?;
            }
        }
        for complaint in &self.complaints {
            writeln!(f, "  {complaint}")?;
        }
        Ok(())
    }
}

/// The scenes as a table.
#[must_use]
pub fn table(scenes: &[&Played]) -> String {
    let mut text = format!(
        "{:<18} {:>6} {:>9} {:>4}  {:<26} {}\n",
        "scene", "frames", "SYN again", "RST", "ICMP unreachable", "client"
    );
    for played in scenes {
        let Played { number, name, outcome, seconds, frames, counted, .. } = played;
        let unreachables: Vec<_> = counted
            .unreachables
            .iter()
            .map(|(message, count)| format!("{count} × {}", trouble::describe(message)))
            .collect();
        // Writing to a string does not fail.
        let _written = writeln!(
            text,
            "{:<18} {frames:>6} {:>9} {:>4}  {:<26} {outcome} after {seconds:.3} s",
            format!("{number} {name}"),
            counted.syn_retransmissions,
            counted.resets,
            unreachables.join(", "),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::scene::{Outcome, SCENES},
        *,
    };

    fn report(tshark: u64) -> Report {
        let counted = Trouble { resets: 1, ..Trouble::default() };
        let [_, _, scene] = &SCENES;
        let played = Played {
            number: scene.number,
            name: scene.name,
            description: scene.description,
            port: scene.port,
            outcome: Outcome::Refused,
            error: None,
            seconds: 0.001,
            ended: jiff::Timestamp::UNIX_EPOCH,
            frames: 2,
            lost: 0,
            counted: counted.clone(),
            disappointments: Vec::new(),
        };
        let tshark = Trouble { resets: tshark, ..counted.clone() };
        let agrees = tshark == counted;
        Report {
            version: VERSION,
            started: "2025-01-01T00:00:00Z".to_owned(),
            seconds: 5.0,
            ok: false,
            scenes: vec![Checked { played, tshark, agrees }],
            segments: vec![Segment { file: "a.pcapng".into(), bytes: 500, frames: 2 }],
            written_frames: 2,
            look: String::new(),
            metrics_url: String::new(),
            complaints: Vec::new(),
        }
    }

    #[test]
    fn agreement_is_ok() {
        let mut report = report(1);
        report.judge();
        assert!(report.ok);
        let text = report.to_string();
        assert!(text.contains("4 not-listening") && text.contains("tshark counts the same"));
    }

    #[test]
    fn a_difference_is_not() {
        let mut report = report(2);
        report.judge();
        assert!(!report.ok);
        assert!(
            report
                .to_string()
                .contains("scene 4: the daemon counts 0 SYN retransmissions, 1 RSTs; tshark 0"),
            "{report}"
        );
    }

    #[test]
    fn frames_missing_from_the_segments_are_not() {
        let mut report = report(1);
        report.written_frames = 3;
        report.judge();
        assert!(!report.ok);
        assert!(report.to_string().contains("hold 2 frames, the daemon wrote 3"), "{report}");
    }
}
