//! Encoded frames on their way to a file, and which frames they are.

use capture_common::abi::{Direction, MAX_INTERFACES};

use super::MAX_SNAP_LENGTH;
use crate::ledger::{Ledger, Loss};

/// The buffer is written out when it holds this much. Measured on tmpfs with 64-byte and
/// 1500-byte frames: below 64 KiB the system call shows, above 512 KiB the buffer leaves a 1 MiB
/// second-level cache.
const FLUSH_AT: usize = 256 * 1024;
/// Room past [`FLUSH_AT`] for the frame that crosses it, whatever its size. Never touched, and so
/// never backed by memory, until a large frame comes.
const OVERSHOOT: usize = MAX_SNAP_LENGTH as usize + 4096;
/// The buffer is written out when it holds this many frames: more than [`FLUSH_AT`] bytes of
/// frames of the smallest Ethernet size.
const MARKS: usize = 4096;

/// A counter line of the ledger: an interface's slot and a direction.
const LINES: usize = MAX_INTERFACES as usize * 2;

/// A frame in the buffer.
#[derive(Clone, Copy)]
struct Mark {
    /// Where its record ends in the buffer.
    end: u32,
    /// Captured bytes, shifted by eight, and its line below: one word instead of two, since every
    /// frame writes one.
    captured_and_line: u32,
}

const _: () = assert!(MAX_SNAP_LENGTH < 1 << 24 && LINES <= 1 << 8);

impl Mark {
    fn captured(self) -> u64 {
        u64::from(self.captured_and_line >> 8)
    }

    fn line(self) -> usize {
        (self.captured_and_line & 0xff) as usize
    }
}

#[derive(Clone, Copy, Default)]
struct Tally {
    frames: u64,
    bytes: u64,
}

/// Encoded frames on their way to a file. Whole records only.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    used: usize,
    marks: Vec<Mark>,
    first: u64,
    last: u64,
}

impl Buffer {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; FLUSH_AT + OVERSHOOT].into_boxed_slice(),
            used: 0,
            marks: Vec::with_capacity(MARKS),
            first: 0,
            last: 0,
        }
    }

    /// Room for a record of `length` bytes. There always is, for a record of a frame of at most
    /// [`MAX_SNAP_LENGTH`], when the buffer is not full.
    #[inline]
    pub fn room(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[self.used..self.used + length]
    }

    /// Takes in the record that was put into the [`room`](Self::room).
    #[inline]
    pub fn commit(
        &mut self,
        length: usize,
        slot: u8,
        direction: Direction,
        captured: u32,
        timestamp: u64,
    ) {
        if self.marks.is_empty() {
            self.first = timestamp;
            self.last = timestamp;
        }
        self.last = self.last.max(timestamp);
        self.used += length;
        let line = u32::from(slot) * 2 + direction as u32;
        self.marks.push(Mark { end: self.used as u32, captured_and_line: captured << 8 | line });
    }

    /// Must it be written out before the next frame?
    #[inline]
    pub fn is_full(&self) -> bool {
        self.used >= FLUSH_AT || self.marks.len() >= MARKS
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// When the first frame in it was captured; meaningless when empty.
    pub fn first_timestamp(&self) -> u64 {
        self.first
    }

    /// The latest time at which a frame in it was captured; meaningless when empty.
    pub fn last_timestamp(&self) -> u64 {
        self.last
    }

    /// Length of the whole records within the first `written` bytes.
    pub fn whole(&self, written: usize) -> usize {
        let ends = self.marks.partition_point(|mark| mark.end as usize <= written);
        ends.checked_sub(1).map_or(0, |last| self.marks[last].end as usize)
    }

    /// Empties the buffer: frames within the first `kept` bytes are entered into the ledger as
    /// written and into `delivered` by slot, the others as lost at `stage`.
    pub fn settle(
        &mut self,
        kept: usize,
        stage: Loss,
        ledger: &Ledger,
        delivered: &mut [u64; MAX_INTERFACES as usize],
    ) -> Settled {
        let mut written = [Tally::default(); LINES];
        let mut lost = [0_u64; LINES];
        for mark in &self.marks {
            if mark.end as usize <= kept {
                let tally = &mut written[mark.line()];
                tally.frames += 1;
                tally.bytes += mark.captured();
            } else {
                lost[mark.line()] += 1;
            }
        }
        let mut settled = Settled { written: 0, lost: 0 };
        for (number, (written, lost)) in written.iter().zip(lost).enumerate() {
            if written.frames == 0 && lost == 0 {
                continue;
            }
            let slot = number / 2;
            let line = ledger.line(slot as u8, Direction::ALL[number % 2]);
            line.add_written(written.frames, written.bytes);
            line.add_lost(stage, lost);
            delivered[slot] += written.frames;
            settled.written += written.frames;
            settled.lost += lost;
        }
        self.marks.clear();
        self.used = 0;
        settled
    }
}

/// Frames that left the buffer.
pub(super) struct Settled {
    pub written: u64,
    pub lost: u64,
}
