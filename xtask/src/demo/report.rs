//! What the demo says at its end, for programs; [`super::text`] says it to people.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    act::{Act, Played},
    crowd::{self, Crowd},
    trouble::{Frames, Trouble},
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
    /// What was played at the same time, and counted by the daemon.
    pub acts: Vec<CheckedAct>,
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
    /// What the client and the daemon say.
    #[serde(flatten)]
    pub played: Played,
    /// Frames of the server's port in the segments.
    pub frames: u64,
    /// What tshark counts among them.
    pub tshark: Trouble,
    /// What was expected and did not happen.
    pub disappointments: Vec<String>,
}

/// An act, and what tshark found of it in the segments.
#[derive(Debug, Serialize)]
pub struct CheckedAct {
    /// What the daemon counted.
    #[serde(flatten)]
    pub act: Act,
    /// What tshark counts, of all scenes and the crowd.
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
pub const VERSION: u32 = 2;

impl Checked {
    /// Looks in the segments for a scene of an act that ended at this time.
    #[must_use]
    pub fn new(played: Played, ended: Timestamp, segments: &Frames) -> Self {
        let (frames, tshark) = segments.of_port(played.port, ended);
        let mut disappointments = played.scene.expectation.disappointments(played.outcome, &tshark);
        disappointments.extend(played.disappointments());
        Self { played, frames, tshark, disappointments }
    }
}

impl CheckedAct {
    /// Compares what the daemon counted in an act with what tshark counts in its scenes.
    #[must_use]
    pub fn new(act: Act, scenes: &[Checked], segments: &Frames) -> Self {
        let mut tshark = Trouble::default();
        if act.crowd.is_some() {
            tshark += &segments.of_port(crowd::PORT, act.ended).1;
        }
        for scene in scenes.iter().filter(|scene| act.scenes.contains(&scene.played.number)) {
            tshark += &scene.tshark;
        }
        let agrees = tshark == act.counted;
        Self { act, tshark, agrees }
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
    /// Notes complaints: fewer frames in the segments than were written, nothing written at all, a
    /// crowd that is not well. Then sets [`Self::ok`].
    pub fn judge(&mut self) {
        let frames: u64 = self.segments.iter().map(|segment| segment.frames).sum();
        if frames < self.written_frames || frames == 0 {
            self.complaints.push(format!(
                "the segments hold {frames} frames, the daemon wrote {}",
                self.written_frames
            ));
        }
        let crowds = self.acts.iter().filter_map(|act| act.act.crowd.as_ref());
        let unwell = crowds.flat_map(Crowd::disappointments);
        self.complaints.extend(unwell.map(|what| format!("the crowd: {what}")));
        self.ok = self.complaints.is_empty()
            && self.acts.iter().all(|act| act.agrees)
            && self.scenes.iter().all(|scene| scene.disappointments.is_empty());
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
}
