//! `captured filter check`: what an expression becomes, what it costs, and which frames it matches.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;

use super::FilterCommandError;
use crate::{
    cli::{GivenFilter, print},
    filter::{
        Expression,
        classic::{Instruction, Program},
        explain::{self, Recorded},
        samples,
        translate::Hook,
    },
    kernel::{FilterError, Probe},
};

/// Options of `captured filter check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Say which frames of this file the filter matches: pcap or pcapng, of Ethernet.
    #[arg(long, value_name = "FILE")]
    pub explain: Option<PathBuf>,

    /// The filter.
    #[command(flatten)]
    pub filter: GivenFilter,
}

/// Runs of a sample, for its time.
const RUNS: u32 = 200_000;
/// Times that each sample is measured; the fastest counts, since noise only adds.
const ROUNDS: u32 = 5;

impl CheckArgs {
    /// Compiles, loads and shows; nothing is attached.
    ///
    /// # Errors
    /// The expression is none, the kernel does not take it, the file cannot be read, or the standard
    /// output cannot be written to.
    pub fn run(&self) -> Result<(), FilterCommandError> {
        let expression = self.filter.expression()?.unwrap_or_default();
        let program = expression.compile(0).map_err(FilterError::from)?;
        let instructions = program.instructions().len();
        print(&format!("{}Classic BPF: {instructions} instructions.\n", program.listing()))?;
        let probes = load(&expression, &program)?;
        print(&describe(probes.as_ref()))?;
        if let Some(probes) = &probes {
            print(&cost(&program, probes)?)?;
        }
        if let Some(file) = &self.explain {
            let probe = probes.as_ref().map(|[xdp, _]| xdp);
            explain_file(file, &program, probe)?;
        }
        Ok(())
    }
}

/// The programs of both hooks; `None` without the right to load them.
fn load(
    expression: &Expression,
    program: &Program,
) -> Result<Option<[Probe; 2]>, FilterCommandError> {
    let load = |hook| Probe::load(expression, program, hook, false);
    match (load(Hook::Xdp), load(Hook::Tc)) {
        (Ok(xdp), Ok(tc)) => Ok(Some([xdp, tc])),
        (Err(error), _) | (_, Err(error)) if error.is_permission() => Ok(None),
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    }
}

fn describe(probes: Option<&[Probe; 2]>) -> String {
    match probes {
        Some([xdp, tc]) => format!(
            "eBPF: {} instructions at XDP, {} at tc; the kernel takes both.\n",
            xdp.instructions, tc.instructions
        ),
        None => "eBPF: not tried: to load a program takes root, or CAP_BPF and CAP_NET_ADMIN.\n"
            .to_owned(),
    }
}

/// A table of what the filter says of a few usual frames, and how long it takes for that.
fn cost(program: &Program, probes: &[Probe; 2]) -> Result<String, FilterCommandError> {
    let empty = Expression::default();
    let nothing = Program::new(vec![Instruction { code: 0x06, jt: 0, jf: 0, k: 0 }]);
    let floors = match &nothing {
        Some(nothing) => load(&empty, nothing)?,
        None => None,
    };
    let mut text = format!("\n{:<28} {:>5} {:>9} {:>9}\n", "SAMPLE", "MATCH", "XDP", "TC");
    for (name, frame) in samples::all() {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let verdict = if program.matches(&frame, length) { "yes" } else { "no" };
        let _ = write!(text, "{name:<28} {verdict:>5}");
        for (hook, probe) in probes.iter().enumerate() {
            let floor = match &floors {
                Some(floors) => nanoseconds(&floors[hook], &frame)?,
                None => 0.0,
            };
            let own = (nanoseconds(probe, &frame)? - floor).max(0.0);
            let _ = write!(text, " {own:>6.0} ns");
        }
        text.push('\n');
    }
    text.push_str(
        "Time of the filter alone, by BPF_PROG_RUN, without what an empty program takes.\n",
    );
    Ok(text)
}

fn nanoseconds(probe: &Probe, frame: &[u8]) -> Result<f64, FilterCommandError> {
    let mut fastest = f64::MAX;
    for _ in 0..ROUNDS {
        let run = probe.run(frame, RUNS).map_err(FilterCommandError::Run)?;
        fastest = fastest.min(run.nanoseconds.into());
    }
    Ok(fastest)
}

fn explain_file(
    file: &Path,
    program: &Program,
    probe: Option<&Probe>,
) -> Result<(), FilterCommandError> {
    let (mut frames, mut matched, mut differing) = (0_u64, 0_u64, Vec::new());
    print("\n")?;
    explain::each_frame(file, |recorded: &Recorded<'_>| {
        frames += 1;
        let verdict = program.matches(recorded.bytes, recorded.wire_length);
        if let Some(probe) = probe
            && let Some(kernels) = explain::ask_kernel(probe, recorded)
            && kernels != verdict
        {
            differing.push(frames);
        }
        if verdict {
            matched += 1;
            print(&format!("{frames:>7}  {}\n", explain::summary(recorded)))?;
        }
        Ok(())
    })?;
    let mut end = format!("{matched} of {frames} frames of {} match.\n", file.display());
    if !differing.is_empty() {
        let _ = writeln!(
            end,
            "The kernel's program says otherwise of the frames {differing:?}: a mistake in captured, \
             please report."
        );
    }
    print(&end)?;
    Ok(())
}
