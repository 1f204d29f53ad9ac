//! Queues on their threads, with sinks that check what they get.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use capture_common::abi::Direction;
use capture_user::{
    capture::{
        clock::Clock,
        mirror::{Ended, Progress, Queue, QueueConfig},
    },
    frame::{FrameInfo, FrameSink},
    ledger::{Ledger, Loss},
};

use crate::lab::{MIRROR, index_of, number_of, numbered_frame};

/// The slot of the mirrored interface in the tests.
pub const SLOT: u8 = 0;

/// What a queue received: checks each numbered frame to the last byte.
#[derive(Debug, Default)]
pub struct Collector {
    /// Numbers, in the order of their arrival.
    pub numbers: Vec<u64>,
    /// Time stamps, likewise.
    pub timestamps: Vec<u64>,
    /// Queue that the frames say they came from.
    pub queues: Vec<u16>,
    /// Frames that were not what was sent.
    pub damaged: usize,
    /// Ticks.
    pub ticks: usize,
    /// Was it closed?
    pub closed: bool,
    /// How long a frame takes.
    pub slowness: Duration,
    received: Vec<u8>,
    expected: Vec<u8>,
}

impl FrameSink for Collector {
    fn frame(&mut self, info: &FrameInfo, parts: &[&[u8]]) {
        assert!(!self.closed);
        self.received.clear();
        parts.iter().for_each(|part| self.received.extend_from_slice(part));
        let number = number_of(&self.received);
        numbered_frame(number, info.original_length as usize, &mut self.expected);
        self.damaged += usize::from(self.received != self.expected);
        self.numbers.push(number);
        self.timestamps.push(info.timestamp);
        self.queues.push(info.queue);
        let start = Instant::now();
        while start.elapsed() < self.slowness {
            std::hint::spin_loop();
        }
    }

    fn tick(&mut self, _now: u64) {
        self.ticks += 1;
    }

    fn close(&mut self) {
        self.closed = true;
    }
}

/// A queue that receives on its thread.
pub struct Running {
    /// What it has accounted for.
    pub progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Collector, Ended)>,
}

impl Running {
    /// Starts a queue.
    pub fn start(queue: Queue, ledger: &Arc<Ledger>, slowness: Duration) -> Self {
        let (progress, stop) = (queue.progress(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (stop, ledger) = (Arc::clone(&stop), Arc::clone(ledger));
            let sink = Collector { slowness, ..Collector::default() };
            move || queue.run(sink, &Clock::new(), &stop, &ledger)
        });
        Self { progress, stop, thread }
    }

    /// Waits for its end.
    pub fn join(self) -> (Collector, Ended) {
        self.thread.join().expect("the queue does not panic")
    }

    /// Tells it to stop, and waits for its end.
    pub fn stop(self) -> Collector {
        self.stop.store(true, Relaxed);
        let (sink, ended) = self.join();
        assert_eq!(ended, Ended::Stopped);
        assert!(sink.closed);
        sink
    }
}

/// The configuration of a queue of the mirrored interface.
pub fn config(queue: u32, frames: u32, frame_size: u32) -> QueueConfig {
    let ifindex = index_of(MIRROR);
    QueueConfig { interface: MIRROR.into(), ifindex, queue, slot: SLOT, frames, frame_size }
}

/// Frames in the ledger under a loss.
pub fn lost(ledger: &Ledger, stage: Loss) -> u64 {
    ledger.line(SLOT, Direction::Ingress).lost_frames(stage)
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 20 seconds");
        std::thread::sleep(Duration::from_millis(2));
    }
}
