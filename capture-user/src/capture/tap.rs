//! Tap mode: one thread reads the ring buffer that the kernel programs copy frames into.
//!
//! The kernel does not wake the thread for each frame: it wakes it when a quarter of the ring is
//! filled, and otherwise the thread comes by every few milliseconds.

use std::{
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use capture_common::{
    abi::{Direction, FrameHeader},
    class::Classes,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clock::{Clock, to_unix};
use crate::{
    frame::{FrameInfo, FrameSink},
    kernel::FrameRing,
    ledger::{Ledger, Loss},
};

/// Frames between two looks at the clock, the stop flag and the time of the last tick.
const BATCH: usize = 256;
/// Longest time between two ticks under load.
const TICK: Duration = Duration::from_millis(100);
/// How long the thread sleeps while frames come: the delay of a lone frame, and the most of the
/// ring that fills meanwhile. In milliseconds.
const BUSY_PAUSE: u16 = 10;
/// How long it sleeps when none came lately, in milliseconds.
const IDLE_PAUSE: u16 = 100;

/// Reads frames on the calling thread until `stop` is set and the ring is empty, then closes the
/// sink.
///
/// The programs must be detached before `stop` is set: a frame that is copied later stays in the
/// ring.
pub fn run<S: FrameSink>(
    mut ring: FrameRing,
    mut sink: S,
    clock: &Clock,
    stop: &AtomicBool,
    ledger: &Ledger,
) {
    let mut last_tick = Instant::now();
    let mut was_empty = true;
    loop {
        // Read before the ring is: what was copied before the flag was set is seen after it.
        let stopping = stop.load(Relaxed);
        let count = batch(&mut ring, &mut sink, clock.offset(), ledger);
        if count < BATCH || last_tick.elapsed() >= TICK {
            sink.tick(clock.now());
            last_tick = Instant::now();
        }
        if count == BATCH {
            continue;
        }
        if stopping && count == 0 {
            break;
        }
        // Two pauses without a frame in a row, and the next one is long.
        let pause = if count == 0 && was_empty { IDLE_PAUSE } else { BUSY_PAUSE };
        was_empty = count == 0;
        wait(&ring, pause);
    }
    sink.close();
}

/// Sleeps until the kernel says that the ring fills up, or for `pause` milliseconds.
fn wait(ring: &FrameRing, pause: u16) {
    let mut descriptors = [PollFd::new(ring.as_fd(), PollFlags::POLLIN)];
    // An interrupted or failed poll is a shorter pause; nothing is lost by it.
    let _ready = poll(&mut descriptors, PollTimeout::from(pause));
}

fn batch<S: FrameSink>(ring: &mut FrameRing, sink: &mut S, offset: i64, ledger: &Ledger) -> usize {
    let mut count = 0;
    while count < BATCH {
        let Some(record) = ring.next_record() else { break };
        count += 1;
        match parse(record, offset) {
            Some((info, frame)) => sink.frame(&info, &[frame]),
            // Only a kernel program of another version could write such a record.
            None => ledger.line(0, Direction::Ingress).add_lost(Loss::BadHeader, 1),
        }
    }
    count
}

/// Takes a record of the ring apart.
fn parse(record: &[u8], offset: i64) -> Option<(FrameInfo, &[u8])> {
    let header = FrameHeader::from_bytes(record)?;
    let frame = record.get(FrameHeader::SIZE..)?.get(..header.captured_length as usize)?;
    let info = FrameInfo {
        timestamp: to_unix(header.timestamp, offset),
        original_length: header.original_length,
        slot: header.slot,
        direction: header.direction(),
        queue: header.queue,
        classes: Classes(header.classes),
    };
    Some((info, frame))
}
