//! A connection as a course of events.

use std::collections::BTreeMap;

use capture_common::flow::tcp_flags::{ACK, SYN};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{
    End, MILLISECOND, SECOND,
    endpoint::{Endpoint, Manner, Phase},
    network::Path,
    wire::Segment,
};

/// Time between two segments that are sent at once.
const SERIALISATION: u64 = 2_000;
/// No connection is followed for longer, or for more segments.
const LONGEST: u64 = 400 * SECOND;
const MOST_SEGMENTS: usize = 400;

/// A segment on its way, by the numbers of the ends.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub sequence: u64,
    pub acknowledgment: u64,
    pub length: u64,
    pub flags: u8,
    /// Bytes that it offers, as the scale lets it say.
    pub offer: u64,
}

/// What an application does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Connect,
    Write(u64),
    Stall,
    Read,
    Close,
    Abort,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrival(Sent),
    Timeout(u64),
    HeldAck,
    KeepAlive,
    Application(Act),
}

/// A connection, and what has passed the tap of it.
pub struct Connection {
    path: Path,
    pub manner: Manner,
    pub random: SmallRng,
    pub now: u64,
    start: u64,
    events: BTreeMap<(u64, u64), (End, Event)>,
    scheduled: u64,
    /// When the last segment of each end left it.
    left: [u64; 2],
    ends: [Endpoint; 2],
    passed: Vec<(u64, Segment)>,
}

impl Connection {
    pub fn new(path: Path, manner: Manner, seed: u64, start: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let ends = [Endpoint::new(&manner, &mut random), Endpoint::new(&manner, &mut random)];
        let mut connection = Self {
            path,
            manner,
            random,
            now: start,
            start,
            events: BTreeMap::new(),
            scheduled: 0,
            left: [0; 2],
            ends,
            passed: Vec::new(),
        };
        connection.plan();
        connection
    }

    /// What passed the tap, in the order of the times.
    pub fn into_passed(mut self) -> Vec<(u64, Segment)> {
        self.passed.sort_by_key(|(time, _)| *time);
        self.passed
    }

    pub fn end(&mut self, end: End) -> &mut Endpoint {
        &mut self.ends[end as usize]
    }

    /// What the applications will do.
    fn plan(&mut self) {
        let mut time = 0;
        self.schedule(time, End::Client, Event::Application(Act::Connect));
        for _ in 0..self.random.random_range(0..6) {
            time += match self.random.random_range(0..4) {
                0 => self.random.random_range(0..20 * SECOND),
                _ => self.random.random_range(0..300 * MILLISECOND),
            };
            let end = if self.random.random() { End::Client } else { End::Server };
            let bytes = self.random.random_range(1..self.manner.segment * 24);
            if self.random.random_bool(0.35) {
                self.schedule(time, end.other(), Event::Application(Act::Stall));
                let pause = self.random.random_range(0..8 * SECOND);
                self.schedule(time + pause, end.other(), Event::Application(Act::Read));
            }
            self.schedule(time, end, Event::Application(Act::Write(bytes)));
        }
        time += self.random.random_range(0..20 * SECOND);
        let end = if self.random.random() { End::Client } else { End::Server };
        match self.random.random_range(0..8) {
            0 => {}
            1 => self.schedule(time, end, Event::Application(Act::Abort)),
            _ => self.schedule(time, end, Event::Application(Act::Close)),
        }
    }

    fn schedule(&mut self, delay: u64, end: End, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + delay, self.scheduled), (end, event));
    }

    /// Lets everything happen.
    pub fn run(&mut self) {
        while let Some(((time, _), (end, event))) = self.events.pop_first() {
            if time > self.start + LONGEST || self.passed.len() > MOST_SEGMENTS {
                return;
            }
            self.now = time;
            match event {
                Event::Arrival(sent) => self.arrival(end, &sent),
                Event::Timeout(timer) if timer == self.end(end).timer => self.timeout(end),
                Event::Timeout(_) => {}
                Event::HeldAck => {
                    if self.end(end).owes_ack {
                        self.acknowledge(end);
                    }
                }
                Event::KeepAlive => self.keep_alive(end),
                Event::Application(act) => self.application(end, act),
            }
        }
    }

    /// Sets the timer of an end anew.
    pub fn arm(&mut self, end: End) {
        let is_opening = self.end(end).phase == Phase::Opening;
        let first = if is_opening { SECOND } else { 200 * MILLISECOND };
        let patience = first.max(2 * self.path.round_trip()) << self.end(end).tries.min(6);
        self.end(end).timer += 1;
        let timer = self.end(end).timer;
        self.schedule(patience, end, Event::Timeout(timer));
    }

    /// Holds an ACK back for a while.
    pub fn owe(&mut self, end: End) {
        self.end(end).owes_ack = true;
        self.schedule(40 * MILLISECOND, end, Event::HeldAck);
    }

    /// Waits for a keep-alive to fall due.
    pub fn wait_idle(&mut self, end: End) {
        if let Some((idle, _)) = self.manner.keep_alive {
            self.schedule(idle, end, Event::KeepAlive);
        }
    }

    pub fn later(&mut self, delay: u64, end: End, act: Act) {
        self.schedule(delay, end, Event::Application(act));
    }

    /// Puts a segment on its way, with the ACK and window of the moment.
    pub fn send(&mut self, from: End, sequence: u64, length: u64, flags: u8) {
        let manner = self.manner;
        let now = self.now;
        let endpoint = self.end(from);
        (endpoint.owes_ack, endpoint.active) = (false, now);
        let scale = if flags & SYN == 0 { endpoint.scale } else { 0 };
        let window = (endpoint.free(&manner) >> scale).min(u64::from(u16::MAX));
        let acknowledgment = if flags & ACK == 0 { 0 } else { endpoint.received };
        let sent = Sent { sequence, acknowledgment, length, flags, offer: window << scale };
        let other = &self.ends[from.other() as usize];
        let segment = Segment {
            from,
            sequence: self.ends[from as usize].on_wire(sequence),
            acknowledgment: if flags & ACK == 0 { 0 } else { other.on_wire(acknowledgment) },
            length: length as u16,
            flags,
            window: window as u16,
            scale: manner.scale,
        };
        let left = &mut self.left[from as usize];
        *left = now.max(*left + SERIALISATION);
        let waits = *left - now;
        let passage = self.path.passage(from, &mut self.random);
        for tap in passage.tap.into_iter().flatten() {
            self.passed.push((now + waits + tap, segment));
        }
        for arrival in passage.arrivals.into_iter().flatten() {
            self.schedule(waits + arrival, from.other(), Event::Arrival(sent));
        }
    }
}
