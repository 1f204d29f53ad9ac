//! An act: scenes that are played at the same time, under the eyes of the daemon.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    asking::{Asked, Outcome, Stage},
    crowd::{self, Crowd},
    props::Props,
    scene::Scene,
    trouble::Trouble,
    verdict::{self, Said},
};
use crate::lab::{Daemon, Metrics, Routed, http::HttpServers, wait_until};

/// The wire is still when nothing came for so long.
const STILL: Duration = Duration::from_millis(100);
const STILL_LIMIT: Duration = Duration::from_secs(10);

/// What an act did to the daemon's counters.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// Numbers of its scenes.
    pub scenes: Vec<u8>,
    /// Healthy requests beside them.
    pub crowd: Option<Crowd>,
    /// Frames captured, each once.
    pub frames: u64,
    /// Frames that should have been captured and were lost.
    pub lost: u64,
    /// From the daemon's metrics.
    pub counted: Trouble,
    /// When the wire was still again: RFC 3339, UTC.
    #[serde(serialize_with = "as_text")]
    pub ended: Timestamp,
}

/// What a scene did to the client, and what the daemon says of it.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Number of the scene.
    pub number: u8,
    /// Name of the scene.
    pub name: &'static str,
    /// What happened.
    pub description: &'static str,
    /// The server's port.
    pub port: u16,
    /// How it ended for the client.
    pub outcome: Outcome,
    /// What the client said of it.
    pub error: Option<String>,
    /// How long the client took.
    pub seconds: f64,
    /// What the daemon says; `None` if it does not do diagnosis.
    pub said: Option<Said>,
    /// What was expected.
    #[serde(skip)]
    pub scene: &'static Scene,
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Plays scenes at the same time, and returns what came of them, and of each.
///
/// # Errors
/// A scene could not be set up, or the daemon could not be asked or lost track of frames.
pub fn play(
    lab: &Routed,
    daemon: &Daemon<'_>,
    site: &Path,
    scenes: &[&'static Scene],
    crowd: u32,
) -> Result<(Act, Vec<Played>)> {
    let beside = (crowd > 0).then(crowd::listener);
    let ports: Vec<_> = scenes.iter().filter_map(|scene| scene.listener()).chain(beside).collect();
    let _servers = HttpServers::start(&lab.server, site, &ports)?;
    let _props = Props::put_up(lab, scenes)?;
    let (before, _) = settled(daemon)?;
    let (asked, mut gathered) = all_at_once(lab, scenes, crowd)?;
    let (after, ended) = settled(daemon)?;
    let played = scenes.iter().zip(asked).map(|(scene, asked)| judge(daemon, scene, asked));
    let played = played.collect::<Result<_>>()?;
    if let Some(gathered) = &mut gathered {
        gathered.said = Some(verdict::ask(daemon, crowd::service(), "tcp")?);
    }
    let added = after.since(&before);
    let act = Act {
        scenes: scenes.iter().map(|scene| scene.number).collect(),
        crowd: gathered,
        frames: added.count("capture_matched_frames_total", &[]),
        lost: added.count("capture_lost_frames_total", &[]),
        counted: Trouble::of_metrics(&added),
        ended,
    };
    Ok((act, played))
}

/// Has the clients of all scenes, and the crowd, do what they do.
fn all_at_once(
    lab: &Routed,
    scenes: &[&'static Scene],
    crowd: u32,
) -> Result<(Vec<Asked>, Option<Crowd>)> {
    thread::scope(|scope| {
        let crowd = (crowd > 0).then(|| scope.spawn(move || crowd::gather(lab, crowd)));
        let clients: Vec<_> = scenes
            .iter()
            .map(|scene| scope.spawn(move || (scene.action)(&Stage { lab, scene })))
            .collect();
        let asked = scenes.iter().zip(clients).map(|(scene, client)| {
            let asked = client.join().map_err(|_| anyhow!("its client panicked")).flatten();
            asked.with_context(|| format!("scene {}, {}", scene.number, scene.name))
        });
        let asked = asked.collect::<Result<_>>()?;
        let crowd =
            crowd.map(|crowd| crowd.join().map_err(|_| anyhow!("the crowd panicked")).flatten());
        Ok((asked, crowd.transpose()?))
    })
}

/// Asks the daemon what it thinks of a scene.
fn judge(daemon: &Daemon<'_>, scene: &'static Scene, asked: Asked) -> Result<Played> {
    let said = verdict::ask(daemon, scene.service(), scene.protocol());
    let said = said.with_context(|| format!("scene {}, {}", scene.number, scene.name))?;
    let Asked { outcome, error, seconds } = asked;
    Ok(Played {
        number: scene.number,
        name: scene.name,
        description: scene.description,
        port: scene.port(),
        outcome,
        error,
        seconds,
        said: Some(said),
        scene,
    })
}

impl Played {
    /// What the daemon should have said of it and did not, in words.
    #[must_use]
    pub fn disappointments(&self) -> Vec<String> {
        let said = self.said.iter();
        said.flat_map(|said| said.disappointments(&self.scene.verdict)).collect()
    }
}

/// Scrapes until nothing new has come for [`STILL`] and every matched frame is written or lost.
/// Returns the scrape, and a time before which all of it came and after which nothing of it.
fn settled(daemon: &Daemon<'_>) -> Result<(Metrics, Timestamp)> {
    let mut last: Option<(Metrics, Instant, Timestamp)> = None;
    let what = "the wire to be still and every matched frame to be written or counted as lost";
    wait_until(STILL_LIMIT, what, || {
        let now = daemon.metrics()?;
        let total = |name: &str| now.count(name, &[]);
        let (since, between) = match &last {
            Some((before, since, scraped)) if !moved(before, &now) => (*since, Some(*scraped)),
            _ => (Instant::now(), None),
        };
        let accounted = total("capture_written_frames_total") + total("capture_lost_frames_total");
        let balanced = total("capture_matched_frames_total") == accounted;
        let done = balanced && since.elapsed() >= STILL;
        last = Some((now.clone(), since, Timestamp::now()));
        // Between two scrapes that say the same.
        Ok(between.filter(|_| done).map(|between| (now, between)))
    })
}

fn moved(before: &Metrics, now: &Metrics) -> bool {
    let received = "capture_received_frames_total";
    before.count(received, &[]) != now.count(received, &[])
}
