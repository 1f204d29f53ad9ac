//! A generator of frames in the kernel: an XDP program that redirects each frame to one interface,
//! run by `BPF_PROG_RUN` on live frames.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::lab::routed::SERVER_V4;

/// Frames of one call. Each call first and last waits for tens of milliseconds, in which nothing is
/// sent: with fewer frames a call, the rate would be that of the waiting.
const REPEAT: u32 = 2_097_152;
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
    frame: Vec<u8>,
}

impl Generator {
    /// For copies of a frame to the interface of this index, in the namespace that
    /// [`Self::send`] is run in. `spins` rounds of a loop slow it down, evenly: pauses between calls
    /// would make bursts at full speed.
    pub(super) fn new(ifindex: u32, frame: &[u8], spins: u32) -> Result<Self> {
        let code = program(ifindex, frame, spins)?;
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
        Ok(Self { program, frame: frame.to_vec() })
    }

    /// Sends copies of the frame for at least `duration`; returns how many.
    pub(super) fn send(&self, duration: Duration) -> Result<u64> {
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < duration {
            let mut attributes = TestRun {
                program: self.program.as_raw_fd().cast_unsigned(),
                data_in_bytes: self.frame.len() as u32,
                data_in: self.frame.as_ptr() as u64,
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

/// A UDP datagram to the server of the lab, in a frame of so many bytes to this hardware address.
pub(super) fn udp(to: [u8; 6], frame_bytes: usize) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([0x02, 0, 0, 0, 2, 1, 0x08, 0]);
    let mut header = vec![0x45, 0];
    header.extend(((frame_bytes - 14) as u16).to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 2]);
    header.extend(SERVER_V4.octets());
    let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(header);
    frame.extend([0x9c, 0x40, 0, 9]);
    frame.extend(((frame_bytes - 34) as u16).to_be_bytes());
    frame.resize(frame_bytes, 0);
    frame
}

/// Writes what a router changes (hardware addresses, time to live, checksum), since the kernel uses
/// the frames again as they come back, and redirects the frame.
fn program(ifindex: u32, frame: &[u8], spins: u32) -> Result<Vec<u64>> {
    let word = |at: usize| -> Result<u64> {
        let bytes = frame.get(at..at + 4).context("the frame is too short")?;
        Ok(u64::from(u32::from_le_bytes(bytes.try_into()?)))
    };
    // Opcode, destination and source register, offset, immediate: as in linux/bpf.h.
    let instruction = |code: u64, to: u64, from: u64, offset: u64, immediate: u64| {
        code | to << 8 | from << 12 | offset << 16 | immediate << 32
    };
    // r5 = spins; r5 -= 1; if r5 != 0: back
    let spin = [
        instruction(0xb7, 5, 0, 0, u64::from(spins)),
        instruction(0x17, 5, 0, 0, 1),
        instruction(0x55, 5, 0, 0xfffe, 0),
    ];
    let spin = if spins == 0 { &[][..] } else { &spin };
    let send = [
        instruction(0x61, 2, 1, 0, 0),        // r2 = data
        instruction(0x61, 3, 1, 4, 0),        // r3 = data_end
        instruction(0xbf, 4, 2, 0, 0),        // r4 = r2
        instruction(0x07, 4, 0, 0, 34),       // r4 += Ethernet and IPv4 header
        instruction(0x2d, 4, 3, 8, 0),        // if r4 > r3: out
        instruction(0x62, 2, 0, 0, word(0)?), // hardware addresses
        instruction(0x62, 2, 0, 4, word(4)?),
        instruction(0x62, 2, 0, 8, word(8)?),
        instruction(0x62, 2, 0, 22, word(22)?), // time to live, protocol, checksum
        instruction(0xb7, 1, 0, 0, u64::from(ifindex)),
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0x85, 0, 0, 0, 23), // bpf_redirect
        instruction(0x95, 0, 0, 0, 0),  // exit
        instruction(0xb7, 0, 0, 0, 0),  // out: XDP_ABORTED
        instruction(0x95, 0, 0, 0, 0),
    ];
    Ok([spin, &send].concat())
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
