//! The path between the two ends, with the tap somewhere on it.

use rand::{Rng as _, rngs::SmallRng};

use super::{End, MILLISECOND};

/// What a path does to segments.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Nanoseconds from client to tap, and from tap to server.
    legs: [u64; 2],
    loss: f64,
    reordering: f64,
    duplication: f64,
}

/// What becomes of one segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passage {
    /// When it passes the tap, from now; twice if it was duplicated before.
    pub tap: [Option<u64>; 2],
    /// When it arrives, from now.
    pub arrivals: [Option<u64>; 2],
}

impl Path {
    pub fn new(random: &mut SmallRng) -> Self {
        let mut leg = || {
            if random.random_bool(0.5) {
                random.random_range(20_000..MILLISECOND)
            } else {
                random.random_range(MILLISECOND..40 * MILLISECOND)
            }
        };
        let legs = [leg(), leg()];
        let [loss, reordering, duplication] = match random.random_range(0..5) {
            0 => [0.0, 0.0, 0.0],
            1 => [0.02, 0.0, 0.0],
            2 => [0.05, 0.03, 0.01],
            3 => [0.12, 0.05, 0.03],
            _ => [0.01, 0.15, 0.05],
        };
        Self { legs, loss, reordering, duplication }
    }

    /// The time of a round trip without anything in the way.
    pub fn round_trip(&self) -> u64 {
        2 * (self.legs[0] + self.legs[1])
    }

    /// Sends a segment.
    pub fn passage(&self, from: End, random: &mut SmallRng) -> Passage {
        let [near, far] = match from {
            End::Client => self.legs,
            End::Server => [self.legs[1], self.legs[0]],
        };
        let mut passage = Passage::default();
        let copies = if random.random_bool(self.duplication) { 2 } else { 1 };
        for copy in 0..copies {
            if random.random_bool(self.loss / 2.0) {
                continue;
            }
            let tap = near + self.delay(near, random);
            passage.tap[copy] = Some(tap);
            if !random.random_bool(self.loss / 2.0) {
                passage.arrivals[copy] = Some(tap + far + self.delay(far, random));
            }
        }
        passage
    }

    /// More than a leg takes anyway: now and then enough to be overtaken.
    fn delay(&self, leg: u64, random: &mut SmallRng) -> u64 {
        if random.random_bool(self.reordering) {
            random.random_range(0..leg.max(6 * MILLISECOND))
        } else {
            random.random_range(0..1_000)
        }
    }
}
