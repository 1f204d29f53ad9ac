//! `cargo xtask demo`: the lab, the daemon on its gateway, a few scenes, and a report that tshark
//! confirms.

mod progress;
mod report;
mod scene;
mod stage;
mod trouble;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use self::{
    progress::Progress,
    report::{Checked, Report},
    scene::Scene,
    stage::Played,
};
use crate::lab::{
    Daemon, Lab, Metrics, Routed, RoutedOptions, build, daemon, http, interrupt,
    routed::{GATEWAY_INSIDE, GATEWAY_OUTSIDE},
};

/// Shows what captured sees when a web server works and when it does not, in a network of
/// namespaces on this machine.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Keep the lab and the daemon running until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Scene to play: working, rejected, not-listening (or its number), or all
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub scene: String,
}

/// With `--keep`: the open segment is published so often, in seconds, to be looked at.
const KEEP_ROTATION: &str = "5";

/// Where the demo leaves what it made.
struct Output {
    /// `target/demo`.
    top: PathBuf,
    segments: PathBuf,
    site: PathBuf,
}

/// What the scenes left in the daemon.
struct Performance {
    played: Vec<Played>,
    /// Frames written by the last scrape.
    written_frames: u64,
    metrics_url: String,
}

/// Plays the demo. The machine must be set up already.
///
/// # Errors
/// Something could not be built, started or read; or a scene did not show what it should, or
/// tshark counts otherwise than the daemon (the report, printed before, says what).
pub fn run(args: Args) -> Result<()> {
    let scenes = scene::select(&args.scene)?;
    let progress = Progress::start();
    let step = "building captured (release)";
    progress.step(step);
    build::captured_with(&mut |line| progress.detail(step, line))?;
    let output = Output::prepare()?;
    let started = jiff::Timestamp::now();
    let clock = Instant::now();
    let performance = perform(args.keep, &scenes, &output, &progress)?;
    progress.step("asking tshark, tcpdump and capinfos about the segments");
    let Performance { played, written_frames, metrics_url } = performance;
    let segments = report::read_segments(&output.segments)?;
    let files: Vec<_> = segments.iter().map(|segment| segment.file.clone()).collect();
    let checked = played.into_iter().map(|played| Checked::new(played, &files));
    let mut report = Report {
        version: report::VERSION,
        started: started.to_string(),
        seconds: clock.elapsed().as_secs_f64(),
        ok: false,
        scenes: checked.collect::<Result<_>>()?,
        look: report::look_command(&segments, &output.segments),
        segments,
        written_frames,
        metrics_url,
        complaints: Vec::new(),
    };
    report.judge();
    drop(progress);
    finish(&report, &output)
}

/// Builds the lab, plays the scenes under the eyes of the daemon, and takes all down again.
fn perform(
    keep: bool,
    scenes: &[&Scene],
    output: &Output,
    progress: &Progress,
) -> Result<Performance> {
    progress.step("building the lab: client — isp — gateway — server");
    let lab = Lab::routed(&RoutedOptions::default())?;
    progress.step("starting captured on the gateway");
    let daemon = start_daemon(&lab, &output.segments, keep)?;
    let mut played = Vec::new();
    for scene in scenes {
        progress.step(&format!("scene {}, {}: {}", scene.number, scene.name, scene.description));
        played.push(stage::play(&lab, &daemon, &output.site, scene)?);
    }
    if keep {
        progress.pause(|| hold(&lab, &daemon, output, &played));
    }
    progress.step("stopping captured");
    let metrics_url = daemon.url("/metrics");
    let written_frames = save_metrics(&daemon, &output.top.join("metrics.txt"))?;
    daemon.stop()?;
    Ok(Performance { played, written_frames, metrics_url })
}

/// Starts captured in tap mode on both interfaces of the gateway.
fn start_daemon<'a>(lab: &'a Routed, segments: &Path, keep: bool) -> Result<Daemon<'a>> {
    let directory = segments.to_str().context("the path of the segments is not UTF-8")?;
    let mut arguments = vec!["-i", GATEWAY_OUTSIDE, "-i", GATEWAY_INSIDE, "-w", directory];
    arguments.extend(["--listen", daemon::LISTEN]);
    if keep {
        arguments.extend(["-G", KEEP_ROTATION]);
    }
    Daemon::start(&lab.gateway, &arguments)
}

/// Shows what there is to explore, and waits for Ctrl-C.
fn hold(lab: &Routed, daemon: &Daemon<'_>, output: &Output, played: &[Played]) {
    let gateway = lab.gateway.name();
    let client = lab.client.name();
    println!("{}", report::table(&played.iter().collect::<Vec<_>>()));
    println!("The lab stays until Ctrl-C. Meanwhile, from another terminal:");
    println!("  ip netns exec {gateway} curl -s {}", daemon.url("/metrics"));
    println!("  ip netns exec {gateway} tcpdump -ni {GATEWAY_OUTSIDE}");
    println!("  ip netns exec {client} curl -m 5 http://203.0.113.2:8004/");
    println!("  ls {}   # a new segment every {KEEP_ROTATION} s", output.segments.display());
    interrupt::wait();
    println!();
}

/// Keeps the last scrape, and returns how many frames were written by then.
fn save_metrics(daemon: &Daemon<'_>, path: &Path) -> Result<u64> {
    let text = daemon.metrics_text()?;
    fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let metrics = Metrics::parse(&text)?;
    Ok(metrics.count("capture_written_frames_total", &[]))
}

fn finish(report: &Report, output: &Output) -> Result<()> {
    let path = output.top.join("report.json");
    report.save(&path)?;
    println!("{report}");
    println!("segments  {}", output.segments.display());
    println!("look      {}", report.look);
    println!("metrics   {} while it runs (cargo xtask demo --keep);", report.metrics_url);
    println!("          the last scrape is {}", output.top.join("metrics.txt").display());
    println!("report    {}", path.display());
    if !report.ok {
        bail!("the demo did not show what it should; the report says what");
    }
    Ok(())
}

impl Output {
    /// Empties the places of the segments and of the web site.
    fn prepare() -> Result<Self> {
        let top = shortest(&build::target_directory().join("demo"));
        let segments = empty_directory(top.join("segments"))?;
        let site = empty_directory(top.join("site"))?;
        http::write_site(&site, 0)?;
        Ok(Self { top, segments, site })
    }
}

/// An empty directory at `path`, whatever was there.
fn empty_directory(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        let removed = fs::remove_dir_all(&path);
        removed.with_context(|| format!("cannot empty {}", path.display()))?;
    }
    let made = fs::create_dir_all(&path);
    made.with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// A path relative to the current directory, if that is shorter for whoever types it.
fn shortest(path: &Path) -> PathBuf {
    let here = env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    relative.unwrap_or_else(|| path.to_path_buf())
}
