//! `cargo xtask demo`: the lab, the daemon on its gateway, a few scenes, and a report that tshark
//! confirms.

mod act;
mod asking;
mod crowd;
mod expectation;
mod progress;
mod props;
mod report;
mod scene;
mod text;
mod trouble;
pub mod verdict;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use self::{
    act::{Act, Played},
    progress::Progress,
    report::{Checked, CheckedAct, Report},
    scene::Scene,
    trouble::Frames,
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
    /// Scenes to play: one by its name or number; short for numbers 1, 2 and 4, one after the
    /// other; all for all at the same time
    #[arg(long, value_name = "NAME", default_value = scene::SHORT_NAME)]
    pub scene: String,
    /// Healthy requests beside the scenes, to a port of their own; all scenes are then played at the
    /// same time
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub crowd: u32,
}

/// With `--keep`: the open segment is published so often, in seconds, to be looked at.
const KEEP_ROTATION: &str = "5";

/// What client and server each send at most, in Mbit/s: see [`RoutedOptions::rate_mbit`].
const RATE: u32 = 200;

/// Size of the file for downloads: some hundred segments.
const BIG_FILE_MIB: u64 = 1;

/// Where the demo leaves what it made.
struct Output {
    /// `target/demo`.
    top: PathBuf,
    segments: PathBuf,
    site: PathBuf,
}

/// What the scenes left in the daemon.
struct Performance {
    acts: Vec<(Act, Vec<Played>)>,
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
    let performance = perform(&args, &scenes, &output, &progress)?;
    progress.step("asking tshark, tcpdump and capinfos about the segments");
    let Performance { acts, written_frames, metrics_url } = performance;
    let segments = report::read_segments(&output.segments)?;
    let (scenes, acts) = check(acts, &segments)?;
    let mut report = Report {
        version: report::VERSION,
        started: started.to_string(),
        seconds: clock.elapsed().as_secs_f64(),
        ok: false,
        scenes,
        acts,
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

/// Looks in the segments for what was played.
fn check(
    acts: Vec<(Act, Vec<Played>)>,
    segments: &[report::Segment],
) -> Result<(Vec<Checked>, Vec<CheckedAct>)> {
    let files: Vec<_> = segments.iter().map(|segment| segment.file.clone()).collect();
    let frames = Frames::read(&files)?;
    let (mut scenes, mut checked) = (Vec::new(), Vec::new());
    for (act, played) in acts {
        let of_act: Vec<_> =
            played.into_iter().map(|played| Checked::new(played, act.ended, &frames)).collect();
        checked.push(CheckedAct::new(act, &of_act, &frames));
        scenes.extend(of_act);
    }
    Ok((scenes, checked))
}

/// Builds the lab, plays the scenes under the eyes of the daemon, and takes all down again.
fn perform(
    args: &Args,
    scenes: &[&'static Scene],
    output: &Output,
    progress: &Progress,
) -> Result<Performance> {
    progress.step("building the lab: client — isp — gateway — core — server");
    let options = RoutedOptions { core: true, rate_mbit: Some(RATE), ..RoutedOptions::default() };
    let lab = Lab::routed(&options)?;
    progress.step("starting captured on the gateway");
    let daemon = start_daemon(&lab, &output.segments, args.keep)?;
    // Scenes that wait for the same time-outs do so together.
    let together = args.scene == "all" || args.crowd > 0;
    let acts = scenes.chunks(if together { scenes.len() } else { 1 });
    let acts = acts.map(|act| {
        progress.step(&announcement(act, args.crowd));
        act::play(&lab, &daemon, &output.site, act, args.crowd)
    });
    let acts = acts.collect::<Result<Vec<_>>>()?;
    if args.keep {
        let played: Vec<_> = acts.iter().flat_map(|(_, played)| played).collect();
        progress.pause(|| hold(&lab, &daemon, output, &played));
    }
    progress.step("stopping captured");
    let metrics_url = daemon.url("/metrics");
    let written_frames = save_metrics(&daemon, &output.top.join("metrics.txt"))?;
    save_diagnosis(&daemon, &output.top.join("diagnosis.json"))?;
    daemon.stop()?;
    Ok(Performance { acts, written_frames, metrics_url })
}

/// What is about to be played.
fn announcement(act: &[&Scene], crowd: u32) -> String {
    let mut text = match act {
        [scene] => format!("scene {}, {}: {}", scene.number, scene.name, scene.description),
        several => format!("{} scenes at the same time", several.len()),
    };
    if crowd > 0 {
        text += &format!(" (and {crowd} healthy requests beside)");
    }
    text
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
fn hold(lab: &Routed, daemon: &Daemon<'_>, output: &Output, played: &[&Played]) {
    let gateway = lab.gateway.name();
    let client = lab.client.name();
    println!("{}", text::verdicts(played));
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

/// Keeps all that the daemon has to say of the services that it saw, if it does diagnosis.
fn save_diagnosis(daemon: &Daemon<'_>, path: &Path) -> Result<()> {
    fs::write(path, verdict::ask_all(daemon)?)
        .with_context(|| format!("cannot write {}", path.display()))
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
        http::write_site(&site, BIG_FILE_MIB)?;
        // What an earlier daemon said must not stand for what this one does not say.
        let _none = fs::remove_file(top.join("diagnosis.json"));
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
