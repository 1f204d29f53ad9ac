//! What a queue has accounted for, for the daemon's ledger.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use xsk_rs::socket::XdpStatistics;

use crate::ledger::{Line, Loss};

/// What a queue has accounted for so far; the daemon keeps a handle and reads it.
///
/// Of the frames that the kernel programs redirected (`delivered_frames`) the socket accounts for
/// all but those that the kernel refused without counting them. For an interface, over all queues
/// it ever had,
///
/// `Loss::RedirectFailed = delivered_frames − Σ accounted()`
///
/// holds exactly once its slots in the socket map are empty and its queues have ended. Before
/// that, frames waiting in the rings belong to neither; so while the queues run, only what was
/// delivered *before* and is still missing after they caught up (200 ms later is enough unless the
/// writer is behind) can be called lost.
#[derive(Debug, Default)]
pub struct Progress {
    received: AtomicU64,
    ring_full: AtomicU64,
    dropped: AtomicU64,
}

impl Progress {
    /// Frames taken out of the receive ring, those with a bad header among them.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Frames that reached the socket and found no room in it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.ring_full.load(Relaxed) + self.dropped.load(Relaxed)
    }

    /// Frames that reached the socket.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.received() + self.lost()
    }

    pub(super) fn add_received(&self, frames: u64) {
        self.received.fetch_add(frames, Relaxed);
    }

    /// Takes the socket's statistics over: into this and, what is new in them, into the ledger.
    /// Only the queue's own thread calls this.
    pub(super) fn take_statistics(&self, statistics: &XdpStatistics, line: &Line) {
        for (seen, now, stage) in [
            (&self.ring_full, statistics.rx_ring_full(), Loss::RxRingFull),
            (&self.dropped, statistics.rx_dropped(), Loss::RxDropped),
        ] {
            let new = now.wrapping_sub(seen.swap(now, Relaxed));
            if new > 0 {
                line.add_lost(stage, new);
            }
        }
    }
}
