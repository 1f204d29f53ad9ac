//! Mirror mode: frames that the kernel programs redirected to AF_XDP sockets.
//!
//! One [`Queue`] for each receive queue of an interface, one thread for each `Queue`; it owns the
//! socket and the buffers (UMEM), and lends each frame to its
//! [`FrameSink`](crate::frame::FrameSink) where it lies. The daemon opens in the order load →
//! attach → [`Queue::open`] (binds and fills) → put [`Queue::fd`] into the socket map, and closes
//! in reverse: empty the slot of the map, then tell [`Queue::run`] to stop.
//!
//! # What is lost, and where it is counted
//! Read from Linux 6.18 (`net/xdp/xsk.c`, `xsk_buff_pool.c`) and tried under overload. A frame
//! that an XDP program has redirected is, in copy mode, exactly one of:
//!
//! | what happens | counted as |
//! |---|---|
//! | put into the receive ring, all parts or none | received |
//! | no free buffer, or too few for all parts | `rx_dropped`, once per frame |
//! | larger than a buffer, and the socket without multi-buffer | `rx_dropped` |
//! | no room in the receive ring for all parts | `rx_ring_full`, once per frame |
//! | socket not bound (interface gone), or bound to another queue | nothing |
//!
//! `rx_fill_ring_empty_descs` counts *attempts* to get a buffer from an empty fill ring: each is
//! also an `rx_dropped`, so adding it would count the frame twice; and a frame of several parts
//! for which *some* buffers were left is an `rx_dropped` only. Hence
//!
//! `redirected = received + rx_dropped + rx_ring_full + refused`
//!
//! where `refused`, [`Loss::RedirectFailed`](crate::ledger::Loss::RedirectFailed), is what
//! [`Progress`] leaves over. With zero-copy a driver that finds no buffer loses the frame before
//! the program sees it: it is in no counter of ours, only in the interface's.
//!
//! The receive ring has as many entries as there are buffers, so it cannot overflow before the
//! buffers run out: a writer that is behind shows as `rx_dropped`. That also spares zero-copy
//! drivers their one flaw, a chain that ends in the middle because the ring was full.
//!
//! # Memory
//! [`QueueConfig::bytes`] for the buffers, locked and resident, and 56 bytes for each buffer in
//! the rings and the receive loop: by default 32 MiB and 900 KiB for each queue of an interface
//! with one or two, less for each if there are more ([`QueueConfig::default_frames`]).

mod chain;
mod error;
mod grace;
mod header;
mod progress;
mod receive;
mod socket;

use std::{
    os::fd::BorrowedFd,
    sync::{Arc, atomic::AtomicBool},
};

use capture_common::abi::{Direction, MAX_QUEUES};

pub use self::{error::MirrorError, progress::Progress};
use self::{receive::Receiver, socket::Socket};
use super::clock::Clock;
use crate::{frame::FrameSink, ledger::Ledger};

/// Memory for the buffers of all queues of an interface unless told otherwise.
const INTERFACE_BYTES: u32 = 64 << 20;
/// Bytes that the kernel keeps free in front of a frame in its buffer.
const HEADROOM: u32 = 256;

/// Which queue to receive from, and with how much memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Name of the interface.
    pub interface: String,
    /// Kernel's index of the interface.
    pub ifindex: u32,
    /// Number of the receive queue, below [`MAX_QUEUES`].
    pub queue: u32,
    /// Slot of the interface: its line in the ledger.
    pub slot: u8,
    /// Number of buffers: a power of two from 64 to 1,048,576.
    pub frames: u32,
    /// Bytes of a buffer, 2048 or 4096; a frame that does not fit into one, less 256 bytes, takes
    /// several.
    pub frame_size: u32,
}

impl QueueConfig {
    /// Bytes of a buffer unless told otherwise: a frame of 1,514 bytes fits, and half the memory
    /// of 4096 means fewer cache misses.
    pub const DEFAULT_FRAME_SIZE: u32 = 2048;

    /// Buffers for each queue unless told otherwise, for an interface with so many queues: as many
    /// as 64 MiB for the interface allow, from 1,024 to 16,384.
    ///
    /// More buffers bridge longer pauses of the writer (16,384 are 16 ms at a million frames per
    /// second), but every frame then goes through memory that has left the cache: from 2,048 to
    /// 16,384 buffers a redirect of 1,500 bytes became 1.5 times as dear, to 32,768 2.4 times.
    #[must_use]
    pub const fn default_frames(queues: u32) -> u32 {
        let all = INTERFACE_BYTES / Self::DEFAULT_FRAME_SIZE;
        let each = all / if queues == 0 { 1 } else { queues };
        match each {
            0..2048 => 1024,
            2048..16384 => 1 << each.ilog2(),
            _ => 16384,
        }
    }

    /// Memory for the buffers of this queue, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.frames as u64 * self.frame_size as u64
    }

    /// The longest frame that fits into one buffer, in bytes.
    const fn largest_part(&self) -> u32 {
        self.frame_size - HEADROOM
    }

    fn check(&self) -> Result<(), MirrorError> {
        if self.queue >= MAX_QUEUES {
            return Err(MirrorError::Queue(self.queue));
        }
        if !self.frames.is_power_of_two() || !(64..=1 << 20).contains(&self.frames) {
            return Err(MirrorError::Frames(self.frames));
        }
        if !matches!(self.frame_size, 2048 | 4096) {
            return Err(MirrorError::FrameSize(self.frame_size));
        }
        Ok(())
    }
}

/// Why [`Queue::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to. The sink is closed.
    Stopped,
    /// The interface was deleted, or moved to another network namespace. The sink is not closed:
    /// should the interface come back, it can be given to the next queue.
    InterfaceGone,
}

/// The receive side of one queue.
pub struct Queue {
    config: QueueConfig,
    socket: Socket,
    zero_copy: bool,
    progress: Arc<Progress>,
}

impl Queue {
    /// Makes the buffers, binds a socket to the queue and fills its fill ring. Frames come as soon
    /// as the socket is in the socket map. Call it in the interface's network namespace.
    ///
    /// # Errors
    /// The configuration is out of range, the interface is not there (any more), or the kernel
    /// refuses the buffers or the socket.
    pub fn open(config: &QueueConfig) -> Result<Self, MirrorError> {
        let socket = Socket::open(config)?;
        let zero_copy = socket.zero_copy().map_err(|source| MirrorError::Socket {
            interface: config.interface.clone(),
            queue: config.queue,
            what: "cannot read the options of the AF_XDP socket",
            source,
        })?;
        Ok(Self { config: config.clone(), socket, zero_copy, progress: Arc::default() })
    }

    /// The socket, for the socket map.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }

    /// Does the driver write frames right into the buffers? Otherwise the kernel copies them.
    #[must_use]
    pub const fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Are the buffers in huge pages?
    #[must_use]
    pub const fn huge_pages(&self) -> bool {
        self.socket.huge_pages
    }

    /// Are frames that do not fit into one buffer received? Otherwise they are lost, and counted.
    #[must_use]
    pub const fn multi_buffer(&self) -> bool {
        self.socket.multi_buffer
    }

    /// What this queue has accounted for; goes on being right after the queue has ended.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Receives on the calling thread until `stop` is set (seen within 100 ms) or the interface is
    /// gone, and gives the sink back.
    ///
    /// On a stop the ring is emptied first: every frame redirected before the slot in the socket
    /// map was emptied is received or counted as lost. An interface that goes down and up again is
    /// survived.
    pub fn run<S: FrameSink>(
        self,
        sink: S,
        clock: &Clock,
        stop: &AtomicBool,
        ledger: &Ledger,
    ) -> (S, Ended) {
        let Self { config, socket, progress, .. } = self;
        let line = ledger.line(config.slot, Direction::Ingress);
        let mut receiver = Receiver::new(socket, &config, sink, line, &progress);
        let ended = receiver.run(clock, stop);
        let mut sink = receiver.into_sink();
        if ended == Ended::Stopped {
            sink.close();
        }
        (sink, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_frames_are_valid_and_within_the_budget() {
        for queues in 0..=MAX_QUEUES {
            let config = QueueConfig {
                interface: "eth0".into(),
                ifindex: 2,
                queue: 0,
                slot: 0,
                frames: QueueConfig::default_frames(queues),
                frame_size: QueueConfig::DEFAULT_FRAME_SIZE,
            };
            config.check().unwrap();
            let bytes = u64::from(queues) * config.bytes();
            assert!(config.frames == 1024 || bytes <= u64::from(INTERFACE_BYTES), "{queues}");
        }
        assert_eq!(
            [1, 2, 3, 4, 8].map(QueueConfig::default_frames),
            [16384, 16384, 8192, 8192, 4096]
        );
    }
}
