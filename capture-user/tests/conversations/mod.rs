//! TCP conversations as a tap in the middle of the path sees them, made by a simulation of both
//! ends and of a path that loses, reorders and duplicates. A seed decides everything.

pub mod chance;
mod connection;
mod endpoint;
mod network;
mod receive;
mod send;
mod wire;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use self::{
    connection::Connection,
    endpoint::Manner,
    network::Path,
    wire::{Endpoints, Segment},
};
use crate::replay::Frame;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// When the first conversation begins.
const START: u64 = 1_700_000_000 * SECOND;
/// Conversations begin within this time.
const SPREAD: u64 = 60 * SECOND;

/// One of the two ends; the client sends the first SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Client,
    Server,
}

impl End {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The frames of conversations number `first` to `first + count - 1`, in the order of their times.
/// The numbers decide their addresses and all else: the same numbers, the same frames.
pub fn frames(first: u32, count: u32) -> Vec<Frame> {
    let mut frames: Vec<Frame> = (first..first + count).flat_map(conversation).collect();
    frames.sort_by_key(|frame| frame.time);
    frames
}

/// All connections between one pair of addresses and ports, one after the other.
fn conversation(number: u32) -> Vec<Frame> {
    let mut random = SmallRng::seed_from_u64(u64::from(number));
    let endpoints = Endpoints::new(number, &mut random);
    let connections = if random.random_bool(0.25) { random.random_range(2..4) } else { 1 };
    let mut start = START + random.random_range(0..SPREAD);
    let mut frames = Vec::new();
    for _ in 0..connections {
        // Now and then the other end connects, from the same port.
        let is_turned = random.random_bool(0.15);
        let path = Path::new(&mut random);
        let manner = Manner::new(&mut random);
        let mut connection = Connection::new(path, manner, random.random(), start);
        connection.run();
        let passed = connection.into_passed();
        start = passed.last().map_or(start, |(time, _)| *time);
        start += random.random_range(MILLISECOND..5 * SECOND);
        frames.extend(passed.into_iter().map(|(time, segment)| {
            let from = if is_turned { segment.from.other() } else { segment.from };
            Frame { time, bytes: endpoints.frame(&Segment { from, ..segment }) }
        }));
    }
    seen(frames, &endpoints, &mut random)
}

/// What the tap sees of it: most often all, but it may have been started late, or see one direction
/// only.
fn seen(mut frames: Vec<Frame>, endpoints: &Endpoints, random: &mut SmallRng) -> Vec<Frame> {
    if random.random_bool(0.08) {
        let late = random.random_range(1..8).min(frames.len());
        frames.drain(..late);
    }
    if random.random_bool(0.04) {
        let end = if random.random_bool(0.5) { End::Client } else { End::Server };
        frames.retain(|frame| endpoints.is_from(end, &frame.bytes));
    }
    frames
}
