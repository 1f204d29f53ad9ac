//! What filters cost a frame: ours by `BPF_PROG_RUN`, and the same classic program as a socket filter
//! of the kernel's.
//!
//! Prints one JSON array for `cargo xtask bench`. Attaches nothing to an interface: the kernel's own
//! filter is attached to one end of a pair of Unix sockets, where it sees every message, and what it
//! takes is the difference to a filter that does nothing.

use std::{
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use capture_user::{
    filter::{
        Expression,
        classic::{Instruction, Program},
        translate::Hook,
    },
    kernel::Probe,
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Frames of one measurement.
const FRAMES: u32 = 400_000;
/// Measurements, of which the median counts.
const ROUNDS: usize = 9;
/// In the lists.
const HOSTS: u32 = 500;

/// A classic program that rejects at once.
const NOTHING: Instruction = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };

fn main() -> Result<()> {
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot stay on one CPU")?;
    let hosts: Vec<String> =
        (0..HOSTS).map(|n| format!("host 10.{}.{}.7", n / 250, n % 250)).collect();
    let cases = [
        ("tcp port 80 and host 203.0.113.4", "tcp port 80 and host 203.0.113.4".to_owned()),
        ("500 hosts", hosts.join(" or ")),
    ];
    let mut results = Vec::new();
    for (name, text) in cases {
        let expression: Expression = text.parse()?;
        let program = expression.compile(0)?;
        let xdp = Probe::load(&expression, &program, Hook::Xdp, false)?;
        let helpers = Probe::load(&expression, &program, Hook::Xdp, true)?;
        let tc = Probe::load(&expression, &program, Hook::Tc, false)?;
        let empty = Expression::default();
        let nothing = Program::new(vec![NOTHING]).context("no program")?;
        let xdp_floor = Probe::load(&empty, &nothing, Hook::Xdp, false)?;
        let tc_floor = Probe::load(&empty, &nothing, Hook::Tc, false)?;
        // In turns, so that all see the same noise.
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push([
                ours(&xdp)? - ours(&xdp_floor)?,
                ours(&tc)? - ours(&tc_floor)?,
                ours(&helpers)? - ours(&xdp_floor)?,
                kernels(&program)? - kernels(&nothing)?,
            ]);
        }
        let median = |index: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[index]).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        results.push(serde_json::json!({
            "filter": name,
            "classic_instructions": program.instructions().len(),
            "instructions": xdp.instructions,
            "xdp_ns": median(0),
            "tc_ns": median(1),
            "xdp_by_helpers_ns": median(2),
            "socket_filter_ns": median(3),
        }));
    }
    writeln!(io::stdout(), "{}", serde_json::Value::from(results))?;
    Ok(())
}

/// Nanoseconds of a run, by the kernel's own clock: the system call around takes longer at XDP.
fn ours(probe: &Probe) -> Result<f64> {
    Ok(probe.run(&frame(), FRAMES)?.nanoseconds.into())
}

/// Nanoseconds of a message through the kernel's own filter.
fn kernels(program: &Program) -> Result<f64> {
    let (from, to) = UnixDatagram::pair()?;
    attach(&to, program)?;
    let frame = frame();
    let mut took = Duration::ZERO;
    for _ in 0..4 {
        let start = Instant::now();
        for _ in 0..FRAMES / 4 {
            from.send(&frame)?;
        }
        took += start.elapsed();
    }
    Ok(took.as_secs_f64() * 1e9 / f64::from(FRAMES))
}

fn attach(socket: &UnixDatagram, program: &Program) -> Result<()> {
    let filter = libc::sock_fprog {
        len: program
            .instructions()
            .len()
            .try_into()
            .context("a socket takes 4096 instructions at most")?,
        filter: program.instructions().as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: the structure says how many instructions there are, which have the layout of the
    // kernel's; it only reads them.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}

/// A TCP segment, which none of the filters matches, as their last tests find.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0, 0x45, 0, 0, 40];
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 203, 0, 113, 1]);
    frame.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}
