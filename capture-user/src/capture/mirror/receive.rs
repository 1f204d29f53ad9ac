//! The receive loop.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use log::warn;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use xsk_rs::FrameDesc;

use super::{
    Ended, QueueConfig,
    chain::{Chains, MAX_PARTS, Step},
    grace::wait_for_redirects,
    header,
    progress::Progress,
    socket::Socket,
};
use crate::{
    capture::clock::{Clock, to_unix},
    frame::{FrameInfo, FrameSink},
    ledger::{Line, Loss},
};

/// Descriptors read from the ring at once.
const BATCH: usize = 64;
/// How often the sink gets its tick, the statistics are read and the socket is looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long frames may gather in the ring before they are fetched. At a frame rate that makes
/// this worth while the kernel then has nobody to wake, which costs it more than the frame.
const NAP: Duration = Duration::from_micros(200);
/// Frames found after a nap that make another nap better than waiting to be woken.
const WORTH_A_NAP: u64 = 8;

/// A socket and what is under way in it.
pub(super) struct Receiver<'a, S> {
    socket: Socket,
    config: &'a QueueConfig,
    sink: S,
    line: &'a Line,
    progress: &'a Progress,
    chains: Chains,
    /// Read from the ring and not yet given back; the first `held` are of an unfinished chain.
    descriptors: Vec<FrameDesc>,
    held: usize,
    /// To be given back, when the fill ring had no room for them.
    returning: Vec<FrameDesc>,
}

impl<'a, S: FrameSink> Receiver<'a, S> {
    pub(super) fn new(
        socket: Socket,
        config: &'a QueueConfig,
        sink: S,
        line: &'a Line,
        progress: &'a Progress,
    ) -> Self {
        Self {
            socket,
            config,
            sink,
            line,
            progress,
            chains: Chains::default(),
            descriptors: vec![FrameDesc::default(); MAX_PARTS + BATCH],
            held: 0,
            returning: Vec::with_capacity(config.frames as usize),
        }
    }

    /// Closes the socket.
    pub(super) fn into_sink(self) -> S {
        self.sink
    }

    /// Receives until told to stop or until the interface is gone.
    pub(super) fn run(&mut self, clock: &Clock, stop: &AtomicBool) -> Ended {
        let mut next_tick = Instant::now() + TICK;
        let mut fresh = 0;
        let ended = loop {
            let frames = self.receive(clock.offset());
            fresh += frames;
            if stop.load(Relaxed) {
                break Ended::Stopped;
            }
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.sink.tick(clock.now());
                self.take_statistics();
                if self.socket.kick() == Err(Errno::ENXIO) {
                    break Ended::InterfaceGone;
                }
            }
            if frames == 0 {
                if fresh < WORTH_A_NAP {
                    self.wait(next_tick - now);
                }
                std::thread::sleep(NAP);
                fresh = 0;
            }
        };
        self.drain(clock.offset());
        self.take_statistics();
        ended
    }

    /// Takes up to [`BATCH`] descriptors from the ring and hands over the frames they make up;
    /// how many.
    fn receive(&mut self, offset: i64) -> u64 {
        let room = &mut self.descriptors[self.held..][..BATCH];
        // SAFETY: descriptors are plain values here; they get those of this socket's UMEM.
        let read = self.held + unsafe { self.socket.receive.consume(room) };
        let (mut frames, mut at) = (0, 0);
        loop {
            let rest = &self.descriptors[at..read];
            at += match self.chains.step(rest) {
                Step::Frame(parts) => {
                    frames += 1;
                    if let Some(info) = self.info(&rest[..parts], offset) {
                        hand_over(&self.socket, &mut self.sink, &info, &rest[..parts]);
                    } else {
                        self.line.add_lost(Loss::BadHeader, 1);
                    }
                    parts
                }
                Step::Overlong(parts) => {
                    frames += 1;
                    self.line.add_lost(Loss::BadHeader, 1);
                    parts
                }
                Step::Remainder(parts) => parts,
                Step::Wait => break,
            };
        }
        self.give_back(at);
        self.descriptors.copy_within(at..read, 0);
        self.held = read - at;
        if frames > 0 {
            self.progress.add_received(frames);
        }
        frames
    }

    /// What is known of a frame; `None` if its header is missing or at odds with its parts.
    fn info(&self, parts: &[FrameDesc], offset: i64) -> Option<FrameInfo> {
        // SAFETY: the parts were received from this socket and are given back only afterwards.
        let header = unsafe {
            header::take(&self.socket.umem, parts.first()?, self.config.frame_size as usize)
        }?;
        let length: usize = parts.iter().map(|part| part.lengths().data()).sum();
        if header.original_length as usize != length {
            return None;
        }
        Some(FrameInfo {
            timestamp: to_unix(header.timestamp, offset),
            original_length: header.original_length,
            slot: self.config.slot,
            direction: header.direction(),
            queue: self.config.queue as u16,
            classes: capture_common::class::Classes(header.classes),
        })
    }

    /// Gives the first `count` descriptors' buffers back to the kernel. The fill ring takes all
    /// buffers there are, but the kernel moves its end of the ring on only after it has shown the
    /// frames, so that for a moment it can look full.
    fn give_back(&mut self, count: usize) {
        let done = &self.descriptors[..count];
        // SAFETY: these buffers were received from this socket and nothing refers to them any
        // more: the sink was lent the frames for the time of the call.
        if self.returning.is_empty() && unsafe { self.socket.fill.produce(done) } == count {
            return self.wake_if_needed(count);
        }
        self.returning.extend_from_slice(done);
        let room = self.socket.fill.nb_free_exact() as usize;
        let kept = self.returning.len().saturating_sub(room);
        // SAFETY: as above.
        let given = unsafe { self.socket.fill.produce(&self.returning[kept..]) };
        self.returning.truncate(self.returning.len() - given);
        self.wake_if_needed(given);
    }

    fn wake_if_needed(&self, given: usize) {
        if given > 0 && self.socket.fill.needs_wakeup() {
            // An interface that is down or gone is seen at the next tick.
            let _ = self.socket.kick();
        }
    }

    /// Waits for a frame, at most as long as given.
    fn wait(&self, most: Duration) {
        let timeout = u16::try_from(most.as_millis()).unwrap_or(u16::MAX);
        let mut socket = [PollFd::new(self.socket.fd(), PollFlags::POLLIN)];
        // An error or hang-up shows in the next kick; the nap that follows keeps it from
        // spinning until then.
        let _ = poll(&mut socket, PollTimeout::from(timeout));
    }

    fn take_statistics(&self) {
        match self.socket.receive.fd().xdp_statistics() {
            Ok(statistics) => self.progress.take_statistics(&statistics, self.line),
            Err(error) => warn!(
                "{} queue {}: cannot read the socket's statistics: {error}",
                self.config.interface, self.config.queue
            ),
        }
    }

    /// Empties the ring. Bounded by what the ring holds, should somebody go on filling it.
    fn drain(&mut self, offset: i64) {
        wait_for_redirects();
        let mut left = u64::from(self.config.frames);
        while left > 0 {
            match self.receive(offset) {
                0 if self.socket.receive.nb_avail_exact() == 0 => break,
                frames => left = left.saturating_sub(frames.max(1)),
            }
        }
    }
}

/// Hands a frame to the sink.
fn hand_over(socket: &Socket, sink: &mut impl FrameSink, info: &FrameInfo, parts: &[FrameDesc]) {
    let bytes = |part| {
        // SAFETY: the part was received from this socket, and its buffer is given back to the
        // kernel only after the sink has returned.
        unsafe { socket.umem.data(part) }.contents()
    };
    if let [only] = parts {
        return sink.frame(info, &[bytes(only)]);
    }
    let mut all: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
    for (to, part) in all.iter_mut().zip(parts) {
        *to = bytes(part);
    }
    sink.frame(info, &all[..parts.len()]);
}
