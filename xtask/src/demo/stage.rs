//! Where a scene is played: the lab, the daemon on its gateway, and what the scene puts up.

use std::{
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    scene::{Outcome, Rule, Scene},
    trouble::Trouble,
};
use crate::lab::{
    Daemon, HttpServer, Metrics, Routed, cleanup,
    http::{self, Patience, Transfer},
    wait_until,
};

/// The wire is still when nothing came for so long.
const STILL: Duration = Duration::from_millis(100);
const STILL_LIMIT: Duration = Duration::from_secs(10);

/// A lab with a daemon, and the scene that is being played.
pub struct Stage<'a> {
    /// The network.
    pub lab: &'a Routed,
    scene: &'a Scene,
}

impl Stage<'_> {
    /// The client asks the server for a file.
    ///
    /// # Errors
    /// curl could not be run; that the request fails is no error.
    pub fn get(
        &self,
        server: impl Into<IpAddr>,
        file: &str,
        patience: Patience,
    ) -> Result<Transfer> {
        let host = match server.into() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let url = format!("http://{host}:{}/{file}", self.scene.port);
        http::get(&self.lab.client, &url, patience)
    }
}

/// What a scene did to the daemon's counters and to the client.
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
    /// What curl said of it.
    pub error: Option<String>,
    /// How long the client took.
    pub seconds: f64,
    /// When the wire was still again: RFC 3339, UTC.
    #[serde(serialize_with = "as_text")]
    pub ended: Timestamp,
    /// Frames captured, each once.
    pub frames: u64,
    /// Frames that should have been captured and were lost.
    pub lost: u64,
    /// From the daemon's metrics.
    pub counted: Trouble,
    /// What was expected and did not happen.
    pub disappointments: Vec<String>,
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Plays a scene and returns what came of it.
///
/// # Errors
/// The scene could not be set up, or the daemon could not be asked or lost track of frames.
pub fn play(lab: &Routed, daemon: &Daemon<'_>, site: &Path, scene: &Scene) -> Result<Played> {
    let in_scene = || format!("scene {}, {}", scene.number, scene.name);
    let _server = scene
        .listening
        .then(|| HttpServer::start(&lab.server, site, scene.port))
        .transpose()
        .with_context(in_scene)?;
    let _rules = Rules::apply(lab, scene).with_context(in_scene)?;
    let before = settled(daemon)?;
    let transfer = (scene.action)(&Stage { lab, scene }).with_context(in_scene)?;
    let added = settled(daemon)?.since(&before);
    let counted = Trouble::of_metrics(&added);
    let outcome = Outcome::of(&transfer);
    Ok(Played {
        number: scene.number,
        name: scene.name,
        description: scene.description,
        port: scene.port,
        outcome,
        error: transfer.error,
        seconds: transfer.seconds,
        ended: Timestamp::now(),
        frames: added.count("capture_matched_frames_total", &[]),
        lost: added.count("capture_lost_frames_total", &[]),
        disappointments: scene.expectation.disappointments(outcome, &counted),
        counted,
    })
}

/// Scrapes until nothing new has come for [`STILL`] and every matched frame is written or lost.
fn settled(daemon: &Daemon<'_>) -> Result<Metrics> {
    let mut last: Option<(Metrics, Instant)> = None;
    let what = "the wire to be still and every matched frame to be written or counted as lost";
    wait_until(STILL_LIMIT, what, || {
        let now = daemon.metrics()?;
        let total = |metrics: &Metrics, name: &str| metrics.count(name, &[]);
        let since = match &last {
            Some((before, since)) if !moved(before, &now) => *since,
            _ => Instant::now(),
        };
        let written = total(&now, "capture_written_frames_total");
        let lost = total(&now, "capture_lost_frames_total");
        let balanced = total(&now, "capture_matched_frames_total") == written + lost;
        let done = balanced && since.elapsed() >= STILL;
        last = Some((now.clone(), since));
        Ok(done.then_some(now))
    })
}

fn moved(before: &Metrics, now: &Metrics) -> bool {
    let received = "capture_received_frames_total";
    before.count(received, &[]) != now.count(received, &[])
}

/// Firewall rules in force; dropped, they go.
struct Rules<'a> {
    lab: &'a Routed,
    in_force: Vec<&'a Rule>,
}

impl<'a> Rules<'a> {
    fn apply(lab: &'a Routed, scene: &'a Scene) -> Result<Self> {
        let mut rules = Self { lab, in_force: Vec::new() };
        for rule in scene.rules {
            let Rule { role, table } = rule;
            let text = format!("define port = {}\ntable inet scene {{\n{table}\n}}\n", scene.port);
            lab.role(role)?.nft(&text)?;
            rules.in_force.push(rule);
        }
        Ok(rules)
    }
}

impl Drop for Rules<'_> {
    fn drop(&mut self) {
        for Rule { role, .. } in &self.in_force {
            let gone = self.lab.role(role).and_then(|host| host.nft("delete table inet scene"));
            if let Err(error) = gone
                && !cleanup::exiting()
            {
                eprintln!("warning: the rules of a scene stay in force: {error:#}");
            }
        }
    }
}
