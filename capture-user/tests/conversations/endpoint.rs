//! One end of a connection: what it has sent, received, and wants.

use std::collections::BTreeMap;

use rand::{Rng as _, rngs::SmallRng};

use super::{MILLISECOND, SECOND};

/// How the ends of a connection go about it.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Most bytes of payload in a segment.
    pub segment: u64,
    /// Bytes of buffer for what the application has not read.
    pub buffer: u64,
    /// Window scale that both offer.
    pub scale: Option<u8>,
    /// Whether the FIN goes with the last data.
    pub is_joined_fin: bool,
    /// A closed window is probed with the next byte, or else as with a keep-alive.
    pub probes_with_a_byte: bool,
    /// Idle time before a keep-alive, and whether it carries a byte.
    pub keep_alive: Option<(u64, bool)>,
    /// Whether what is resent is cut anew.
    pub cuts_anew: bool,
    /// How often the same is sent before the end gives up.
    pub tries: u32,
}

impl Manner {
    pub fn new(random: &mut SmallRng) -> Self {
        let scale = random.random_bool(0.5).then(|| random.random_range(0..8));
        Self {
            segment: [48, 200, 536, 1448][random.random_range(0..4)],
            buffer: [1024, 4096, 8192, 60_000][random.random_range(0..4)],
            scale,
            is_joined_fin: random.random(),
            probes_with_a_byte: random.random(),
            keep_alive: random
                .random_bool(0.4)
                .then(|| (random.random_range(200 * MILLISECOND..20 * SECOND), random.random())),
            cuts_anew: random.random_bool(0.3),
            tries: random.random_range(2..7),
        }
    }
}

/// How far an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for a SYN (server), or for the answer to its own (client).
    Opening,
    /// The handshake is done.
    Open,
    /// Reset, or given up.
    Gone,
}

/// The state of an end. Sequence numbers count from the SYN, which has 0.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub phase: Phase,
    /// Initial sequence number on the wire.
    pub initial: u32,
    /// First number that is not acknowledged.
    pub unacknowledged: u64,
    /// Number of the next new segment.
    pub next: u64,
    /// End of what the application has written.
    pub written: u64,
    /// The application has closed.
    pub is_closed: bool,
    /// Bytes that the other end offers.
    pub offered: u64,
    /// Bytes that may be on their way at once.
    pub congestion: u64,
    /// Duplicate ACKs received in a row.
    pub duplicates: u32,
    /// What was sent before this was resent for a loss.
    pub recover: u64,
    /// Next number expected from the other end; 0 before its SYN.
    pub received: u64,
    /// Received behind holes: start and end.
    pub islands: BTreeMap<u64, u64>,
    /// Number of the other end's FIN.
    pub fin: Option<u64>,
    /// Bytes that the application has not read, and whether it reads at all.
    pub unread: u64,
    pub is_stalled: bool,
    /// Window scale on what is sent.
    pub scale: u8,
    /// The timer that counts; earlier ones are void.
    pub timer: u64,
    /// Times the same was sent.
    pub tries: u32,
    /// An ACK is being held back.
    pub owes_ack: bool,
    /// When a segment last came or went.
    pub active: u64,
}

impl Endpoint {
    pub fn new(manner: &Manner, random: &mut SmallRng) -> Self {
        let initial = match random.random_range(0..4) {
            0 => u32::MAX - random.random_range(0..20_000),
            1 => u32::MAX - random.random_range(0..200),
            _ => random.random(),
        };
        Self {
            phase: Phase::Opening,
            initial,
            unacknowledged: 0,
            next: 0,
            written: 1,
            is_closed: false,
            offered: 0,
            congestion: manner.segment * 4,
            duplicates: 0,
            recover: 0,
            received: 0,
            islands: BTreeMap::new(),
            fin: None,
            unread: 0,
            is_stalled: false,
            scale: 0,
            timer: 0,
            tries: 0,
            owes_ack: false,
            active: 0,
        }
    }

    /// Number on the wire.
    pub fn on_wire(&self, number: u64) -> u32 {
        self.initial.wrapping_add(number as u32)
    }

    /// Bytes of buffer that are free.
    pub fn free(&self, manner: &Manner) -> u64 {
        manner.buffer.saturating_sub(self.unread)
    }

    /// Does the window of the other end keep everything back?
    pub fn is_shut_out(&self) -> bool {
        self.offered == 0 && self.written > self.next && self.unacknowledged == self.next
    }

    /// Takes data that came; returns whether it was the next.
    pub fn take(&mut self, start: u64, end: u64) -> bool {
        let before = self.received;
        if start > before {
            let known = self.islands.entry(start).or_insert(end);
            *known = end.max(*known);
            return false;
        }
        self.received = before.max(end);
        while let Some((start, end)) = self.islands.first_key_value().map(|(s, e)| (*s, *e)) {
            if start > self.received {
                break;
            }
            self.islands.pop_first();
            self.received = self.received.max(end);
        }
        if self.is_stalled {
            self.unread += self.received - before;
        }
        self.received > before
    }
}
