//! Programs of raw instructions: what aya, which loads object files, does not do.

use std::{
    ffi::{CStr, c_char, c_void},
    fmt, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use crate::filter::translate::{Hook, Instruction};

/// What a program that is loaded here says of its licence: that of the other programs.
const LICENSE: &CStr = c"Dual MIT/GPL";
/// `BPF_F_XDP_HAS_FRAGS`: a program must agree in this with the one that calls it.
const XDP_HAS_FRAGS: u32 = 1 << 5;
/// Bytes of the verifier's log that are asked for when it refuses.
const LOG_BYTES: usize = 1 << 20;

/// The kernel did not take a program.
#[derive(Debug)]
pub struct LoadFailure {
    /// Its instructions.
    pub instructions: usize,
    /// The kernel's error.
    pub source: io::Error,
    /// What the verifier says, as far as it says anything.
    pub verdict: Option<String>,
}

impl fmt::Display for LoadFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a program of {} instructions: {}", self.instructions, self.source)?;
        match &self.verdict {
            Some(verdict) => write!(out, " (verifier: {verdict})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LoadFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl LoadFailure {
    /// Would a smaller program be taken?
    #[must_use]
    pub fn is_too_complex(&self) -> bool {
        self.source.raw_os_error() == Some(libc::E2BIG)
            || self.verdict.as_deref().is_some_and(|verdict| verdict.contains("too complex"))
    }
}

/// Loads a program.
///
/// # Errors
/// The verifier refuses it, or we may not.
pub fn load(hook: Hook, instructions: &[Instruction]) -> Result<OwnedFd, LoadFailure> {
    let failure =
        |source, verdict| LoadFailure { instructions: instructions.len(), source, verdict };
    let source = match try_load(hook, instructions, None) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    if source.kind() == io::ErrorKind::PermissionDenied
        && source.raw_os_error() == Some(libc::EPERM)
    {
        return Err(failure(source, None));
    }
    // Again, for the verifier's words: to write a log costs a multiple of the check itself.
    let mut log = vec![0; LOG_BYTES];
    match try_load(hook, instructions, Some(&mut log)) {
        Ok(program) => Ok(program),
        Err(_) => Err(failure(source, last_words(&log))),
    }
}

fn try_load(
    hook: Hook,
    instructions: &[Instruction],
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let (kind, name) = match hook {
        Hook::Xdp => (libbpf_sys::BPF_PROG_TYPE_XDP, c"filter_xdp"),
        Hook::Tc => (libbpf_sys::BPF_PROG_TYPE_SCHED_CLS, c"filter_tc"),
    };
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        attempts: 1,
        ..Default::default()
    };
    if hook == Hook::Xdp {
        options.prog_flags = XDP_HAS_FRAGS;
        options.expected_attach_type = libbpf_sys::BPF_XDP;
    }
    if let Some(log) = log {
        options.log_level = 1;
        options.log_buf = log.as_mut_ptr().cast::<c_char>();
        options.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
    }
    // SAFETY: the strings end with zeros; `instructions` are as many of the layout of `struct
    // bpf_insn` (asserted in their module); the options say their size and point to a log of the
    // size that they say, or to none. The kernel keeps no pointer.
    let descriptor = unsafe {
        libbpf_sys::bpf_prog_load(
            kind,
            name.as_ptr(),
            LICENSE.as_ptr(),
            instructions.as_ptr().cast::<libbpf_sys::bpf_insn>(),
            instructions.len() as libbpf_sys::size_t,
            &raw mut options,
        )
    };
    // libbpf 1 returns the negated error number.
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(-descriptor));
    }
    // SAFETY: a descriptor that was made for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The last line of the verifier's log that is not a statistic.
fn last_words(log: &[u8]) -> Option<String> {
    let text = CStr::from_bytes_until_nul(log).ok()?.to_string_lossy().into_owned();
    let is_statistic = |line: &&str| line.starts_with("processed ") || line.is_empty();
    let mut lines = text.lines().rev().map(str::trim);
    lines.find(|line| !is_statistic(line)).map(|line| line.chars().take(200).collect())
}

/// What a run of a program on a frame gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What the program returned.
    pub value: u32,
    /// Nanoseconds of a run, on average.
    pub nanoseconds: u32,
}

/// Runs a program on a frame without a network (`BPF_PROG_RUN`), `repeat` times.
///
/// # Errors
/// The frame is shorter than an Ethernet header or longer than the kernel takes here, or the program
/// is of a kind that cannot be run so.
pub fn run(program: &OwnedFd, frame: &[u8], repeat: u32) -> io::Result<Run> {
    run_with(program, frame, repeat, None)
}

/// As [`run`], once, for XDP programs: only the first `first` bytes of the frame are in its first
/// buffer, as many drivers hand out large frames. Linux 6.18.
///
/// # Errors
/// As [`run`]; `first` is shorter than an Ethernet header or longer than the frame.
pub fn run_split(program: &OwnedFd, frame: &[u8], first: u32) -> io::Result<Run> {
    run_with(program, frame, 1, Some(first))
}

fn run_with(program: &OwnedFd, frame: &[u8], repeat: u32, first: Option<u32>) -> io::Result<Run> {
    let context = libbpf_sys::xdp_md { data_end: first.unwrap_or_default(), ..Default::default() };
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: frame.as_ptr().cast::<c_void>(),
        data_size_in: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        repeat: i32::try_from(repeat).unwrap_or(i32::MAX),
        ..Default::default()
    };
    if first.is_some() {
        options.ctx_in = (&raw const context).cast::<c_void>();
        options.ctx_size_in = size_of::<libbpf_sys::xdp_md>() as u32;
    }
    // SAFETY: the options say their size; the kernel only reads the frame and the context, of the
    // lengths that they say, and writes its results into them.
    let code = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if code < 0 {
        return Err(io::Error::from_raw_os_error(-code));
    }
    Ok(Run { value: options.retval, nanoseconds: options.duration })
}
