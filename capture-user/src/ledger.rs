//! The user-space half of the loss ledger.
//!
//! `delivered = written + Σ lost{stage}`: whatever the kernel programs delivered is written to a
//! segment or counted here under the stage that lost it. The kernel half is
//! [`Counters`](capture_common::abi::Counters). Capture threads add, the metrics read; all
//! operations are relaxed, since each counter stands for itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use capture_common::abi::{Direction, MAX_INTERFACES};

/// Where user space can lose a frame that the kernel programs delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Loss {
    /// AF_XDP: the receive ring of the socket was full (the writer is behind).
    RxRingFull,
    /// AF_XDP: no free buffer for the frame, or the frame did not fit.
    RxDropped,
    /// AF_XDP: the queue had no socket, or the kernel refused it, after the redirect was decided.
    RedirectFailed,
    /// The frame came without our header, or with a header that makes no sense.
    BadHeader,
    /// The file system had no room.
    DiskFull,
    /// Writing failed for another reason.
    WriteError,
}

impl Loss {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::RxRingFull,
        Self::RxDropped,
        Self::RedirectFailed,
        Self::BadHeader,
        Self::DiskFull,
        Self::WriteError,
    ];

    /// The value of the Prometheus label `stage`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RxRingFull => "rx_ring_full",
            Self::RxDropped => "rx_dropped",
            Self::RedirectFailed => "redirect_failed",
            Self::BadHeader => "bad_header",
            Self::DiskFull => "disk_full",
            Self::WriteError => "write_error",
        }
    }
}

/// Counters of one interface and direction.
#[derive(Debug, Default)]
pub struct Line {
    written_frames: AtomicU64,
    written_bytes: AtomicU64,
    lost_frames: [AtomicU64; Loss::COUNT],
}

impl Line {
    /// Frames that are in a segment, and the captured bytes of these frames.
    pub fn add_written(&self, frames: u64, bytes: u64) {
        self.written_frames.fetch_add(frames, Relaxed);
        self.written_bytes.fetch_add(bytes, Relaxed);
    }

    /// Frames that will never be in a segment.
    pub fn add_lost(&self, stage: Loss, frames: u64) {
        self.lost_frames[stage as usize].fetch_add(frames, Relaxed);
    }

    /// Frames written so far.
    #[must_use]
    pub fn written_frames(&self) -> u64 {
        self.written_frames.load(Relaxed)
    }

    /// Captured bytes (after the snap length) of the frames written so far.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Relaxed)
    }

    /// Frames lost so far at a stage.
    #[must_use]
    pub fn lost_frames(&self, stage: Loss) -> u64 {
        self.lost_frames[stage as usize].load(Relaxed)
    }
}

/// The counters of all interfaces, by slot and direction. One for the life of the daemon: an
/// interface that is deleted and comes back goes on where it was.
#[derive(Debug)]
pub struct Ledger {
    lines: Box<[[Line; 2]]>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { lines: (0..MAX_INTERFACES).map(|_| Default::default()).collect() }
    }
}

impl Ledger {
    /// The counters of an interface's slot and direction; slots past the last are folded into the
    /// last, so that a damaged header cannot make the daemon panic.
    #[must_use]
    pub fn line(&self, slot: u8, direction: Direction) -> &Line {
        let slot = usize::from(slot).min(self.lines.len() - 1);
        &self.lines[slot][direction as usize]
    }
}
