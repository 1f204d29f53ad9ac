//! Segments that no TCP would send: close enough together that they repeat, overlap, leave holes
//! and wrap around, with flags, windows and times by chance.

use capture_common::{
    flow::tcp_flags::{ACK, FIN, RST, SYN},
    parse::{Packet, parse},
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{MILLISECOND, SECOND, START};
use crate::replay::Frame;

/// Segments of one draw: eight conversations share them.
const SEGMENTS: u32 = 4_096;
/// Lengths of the headers, and where fields are.
const HEADERS: usize = 54;
const TOTAL_LENGTH: usize = 16;
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const SEQUENCE: usize = 38;
const ACKNOWLEDGMENT: usize = 42;
const FLAGS: usize = 47;
const WINDOW: usize = 48;

/// The segments of draws number `first` to `first + count - 1`. The numbers decide all of them.
pub fn frames(first: u32, count: u32) -> Vec<Frame> {
    (first..first + count).flat_map(draw).collect()
}

fn draw(number: u32) -> Vec<Frame> {
    let mut random = SmallRng::seed_from_u64(u64::from(number));
    let mut frames: Vec<Frame> = Vec::with_capacity(SEGMENTS as usize);
    let mut time = START + u64::from(number) * 3_600 * SECOND;
    for _ in 0..SEGMENTS {
        time += match random.random_range(0..20) {
            0 => random.random_range(0..SECOND),
            1..9 => random.random_range(0..30 * MILLISECOND),
            _ => random.random_range(0..3 * MILLISECOND),
        };
        let last = frames.last().filter(|_| random.random_bool(0.3));
        let bytes = match last {
            Some(last) => bare_ack_behind(&mut random, &last.bytes),
            None => segment(&mut random, number),
        };
        let is_early = random.random_bool(0.2) && !ends_handshake(&bytes);
        let early = if is_early { 5 * MILLISECOND } else { 0 };
        frames.push(Frame { time: time - early, bytes });
    }
    frames
}

/// Could this be the ACK that tells the initial round-trip time? Other segments may have times
/// before those of earlier ones. Here we differ from tshark on purpose: it takes the negative time
/// for an endless one, so that whatever the conversation resends is out of order to it; we wait for
/// the next ACK.
fn ends_handshake(frame: &[u8]) -> bool {
    frame[FLAGS] & (ACK | SYN) == ACK
}

/// An ACK from the sender of a segment, right behind it, with nothing new to say but perhaps a
/// window.
fn bare_ack_behind(random: &mut SmallRng, last: &[u8]) -> Vec<u8> {
    let mut packet = Packet::default();
    parse(last, last.len() as u32, &mut packet).unwrap();
    let mut frame = last[..HEADERS].to_vec();
    put16(&mut frame, TOTAL_LENGTH, 40);
    put32(&mut frame, SEQUENCE, packet.segment.end());
    frame[FLAGS] = ACK;
    if random.random_bool(0.3) {
        frame[WINDOW + 1] ^= 1;
    }
    frame
}

/// Those that end a conversation are rare, or nothing would ever come of it.
fn flags(random: &mut SmallRng) -> u8 {
    const PUSH: u8 = 0x08;
    match random.random_range(0..24) {
        0 => SYN,
        1 => SYN | ACK,
        2 | 3 => FIN | ACK,
        4 => RST,
        5 => RST | ACK,
        6 => 0,
        7..10 => ACK | PUSH,
        _ => ACK,
    }
}

fn segment(random: &mut SmallRng, number: u32) -> Vec<u8> {
    let mut place = |base: u32| base.wrapping_add(random.random_range(0..24) * 4);
    // 0 stands for "not seen yet" and is met by chance, here and in tshark.
    let (mut sequence, mut acknowledgment) = (place(0xffff_ffd1), place(0x1000));
    let is_reply = random.random_bool(0.4);
    if is_reply {
        (sequence, acknowledgment) = (acknowledgment, sequence);
    }
    let mut frame = headers(number, random.random_range(0..8));
    put32(&mut frame, SEQUENCE, sequence);
    put32(&mut frame, ACKNOWLEDGMENT, acknowledgment);
    frame[FLAGS] = flags(random);
    put16(&mut frame, WINDOW, [0, 512, 512, 512, 1024][random.random_range(0..5)]);
    if is_reply {
        frame[SOURCE..SOURCE + 8].rotate_left(4);
        frame[SOURCE_PORT..SOURCE_PORT + 4].rotate_left(2);
    }
    frame.resize(HEADERS + [0, 0, 1, 4, 8, 12][random.random_range(0..6)], 0x5a);
    let total = (frame.len() - 14) as u16;
    put16(&mut frame, TOTAL_LENGTH, total);
    frame
}

/// From one end of a conversation to the other.
fn headers(number: u32, conversation: u8) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, 0, 1];
    frame.extend_from_slice(&[0x40, 0, 64, 6, 0, 0, 11, a, b, c, 198, 18, 0, 1]);
    frame.extend_from_slice(&[0xc4, conversation, 0xcc, 0]);
    frame.resize(HEADERS, 0);
    frame[FLAGS - 1] = 0x50;
    frame
}

fn put16(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn put32(frame: &mut [u8], at: usize, value: u32) {
    frame[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
