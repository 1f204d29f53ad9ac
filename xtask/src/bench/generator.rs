//! A generator of frames in the kernel: an XDP program that redirects each frame to one interface,
//! run by `BPF_PROG_RUN` on live frames.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Frames of one call; each call has a large fixed cost.
const REPEAT: u32 = 65_536;
const BATCH: u32 = 64;

const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const TYPE_XDP: u32 = 6;
const LIVE_FRAMES: u32 = 1 << 1;

/// `union bpf_attr` of `BPF_PROG_LOAD`, up to what is set.
#[repr(C)]
struct Load {
    program_type: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log: [u32; 4],
    rest: [u32; 2],
}

/// `union bpf_attr` of `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    returned: u32,
    data_in_bytes: u32,
    data_out_bytes: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_bytes: [u32; 2],
    context: [u64; 2],
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// The loaded program.
pub(super) struct Generator {
    program: OwnedFd,
}

impl Generator {
    /// For frames to the interface of this index, in the namespace that [`Self::send`] is run in.
    pub(super) fn new(ifindex: u32) -> Result<Self> {
        // r1 = ifindex; r2 = 0; call bpf_redirect; exit
        let code: [u64; 4] =
            [0xb7 | 1 << 8 | u64::from(ifindex) << 32, 0x2b7, 23 << 32 | 0x85, 0x95];
        let license = c"GPL";
        let mut attributes = Load {
            program_type: TYPE_XDP,
            instructions: code.len() as u32,
            code: code.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log: [0; 4],
            rest: [0; 2],
        };
        // SAFETY: the attributes are laid out as the kernel's, and the code and the licence that
        // they point to outlive the call.
        let descriptor = unsafe { bpf(PROG_LOAD, &mut attributes) }
            .context("cannot load the generator's XDP program")?;
        // SAFETY: the kernel has just made this descriptor for us.
        let program = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { program })
    }

    /// Sends copies of a frame as fast as the kernel can for at least `duration`; returns how many.
    pub(super) fn send(&self, frame: &[u8], duration: Duration) -> Result<u64> {
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < duration {
            let mut attributes = TestRun {
                program: self.program.as_raw_fd().cast_unsigned(),
                data_in_bytes: frame.len() as u32,
                data_in: frame.as_ptr() as u64,
                repeat: REPEAT,
                flags: LIVE_FRAMES,
                batch_size: BATCH,
                ..TestRun::default()
            };
            // SAFETY: the attributes are laid out as the kernel's; it only reads the frame, which
            // outlives the call.
            unsafe { bpf(PROG_TEST_RUN, &mut attributes) }.context("cannot send frames")?;
            sent += u64::from(REPEAT);
        }
        Ok(sent)
    }
}

/// The system call.
///
/// # Safety
/// `T` must be what the kernel takes for this command, and its pointers valid.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: as the caller promises; the kernel is told the size.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as i32)
}
