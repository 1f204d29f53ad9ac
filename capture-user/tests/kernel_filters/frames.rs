//! Frames to filter: of captures, made by hand, mutated, and steered through a program.

use std::{fs, path::Path};

use capture_user::filter::classic::Program;
use rand::{Rng as _, rngs::SmallRng, seq::IndexedRandom as _};

use crate::captures;

/// What `BPF_PROG_RUN` takes at least at both hooks: a header and something behind it.
const LEAST: usize = 15;
/// Frames of each capture.
const OF_EACH: usize = 5;
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");

/// Some frames of each capture, spread over it. The captures are not part of the project: where they
/// are not there, there are none.
pub fn captured() -> Vec<Vec<u8>> {
    let Ok(directory) = fs::read_dir(CAPTURES) else { return Vec::new() };
    let mut paths: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let is_capture = |path: &&std::path::PathBuf| {
        let end = path.extension().and_then(|end| end.to_str());
        matches!(end, Some("pcap" | "pcapng" | "dmp"))
    };
    paths.iter().filter(is_capture).flat_map(|path| some_of(path)).collect()
}

fn some_of(path: &Path) -> Vec<Vec<u8>> {
    let frames = captures::read(path);
    let step = (frames.len() / OF_EACH).max(1);
    let frames = frames.into_iter().step_by(step).map(|frame| frame.bytes);
    frames.filter(|bytes| bytes.len() >= LEAST).collect()
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [&addresses[..], &ethertype.to_be_bytes(), payload].concat()
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 1]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0, 192, 0, 2, 1, 203, 0, 113, 4]);
    [&header[..], payload].concat()
}

fn ipv4_with_options(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(protocol, 0, &[]);
    packet[0] = 0x48;
    packet.extend([1; 12]);
    packet.extend(payload);
    packet
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload.len() as u16).to_be_bytes());
    header.extend([next, 64]);
    let address = |last| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&header[..], &address(1), &address(2), payload].concat()
}

fn tcp(flags: u8) -> Vec<u8> {
    let ports = [40000_u16.to_be_bytes(), 80_u16.to_be_bytes()].concat();
    let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 1, 0, 0, 0, 0, 0];
    [&ports[..], &rest, b"GET / HTTP/1.1\r\n"].concat()
}

fn udp(port: u16) -> Vec<u8> {
    let ports = [5353_u16.to_be_bytes(), port.to_be_bytes()].concat();
    [&ports[..], &[0, 12, 0, 0, 1, 2, 3, 4]].concat()
}

/// A frame of most kinds that pcap-filter(7) knows.
pub fn made() -> Vec<Vec<u8>> {
    let (syn, ack) = (tcp(2), tcp(0x10));
    let inner = ipv4(6, 0, &syn);
    let arp = |operation| {
        let head = [0, 1, 8, 0, 6, 4, 0, operation];
        [&head[..], &[2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 203, 0, 113, 4]].concat()
    };
    let geneve = [&[0, 0, 0x65, 0x58, 0, 0, 7, 0][..], &ethernet(0x0800, &inner)].concat();
    let routing = [&[6, 0, 0, 0, 0, 0, 0, 0][..], &ack].concat();
    let hop_by_hop = [&[43, 0, 1, 4, 0, 0, 0, 0][..], &routing].concat();
    let authentication = [&[6, 4][..], &[0; 22], &syn].concat();
    let mut frames = vec![
        ethernet(0x0800, &inner),
        ethernet(0x0800, &ipv4_with_options(6, &ack)),
        ethernet(0x0800, &ipv4(17, 0, &udp(53))),
        ethernet(0x0800, &ipv4(17, 0, &[&udp(6081)[..8], &geneve].concat())),
        ethernet(0x0800, &ipv4(6, 0x2000, &syn)),
        ethernet(0x0800, &ipv4(6, 0x0010, &syn)),
        ethernet(0x0800, &ipv4(1, 0, &[8, 0, 0, 0, 0, 1, 0, 1])),
        ethernet(0x0800, &ipv4(1, 0, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &inner].concat())),
        ethernet(0x0800, &ipv4(132, 0, &tcp(0))),
        ethernet(0x0800, &ipv4(2, 0, &[0x16, 0, 0, 0, 224, 0, 0, 1])),
        ethernet(0x0800, &ipv4(47, 0, &[&[0, 0, 8, 0][..], &inner].concat())),
        ethernet(0x0800, &ipv4(4, 0, &inner)),
        ethernet(0x0800, &ipv4(51, 0, &authentication)),
        ethernet(0x0800, &ipv4(50, 0, &[7; 40])),
        ethernet(0x0806, &arp(1)),
        ethernet(0x8035, &arp(3)),
        ethernet(0x86dd, &ipv6(6, &syn)),
        ethernet(0x86dd, &ipv6(17, &udp(53))),
        ethernet(0x86dd, &ipv6(58, &[128, 0, 0, 0, 0, 1, 0, 1])),
        ethernet(0x86dd, &ipv6(0, &hop_by_hop)),
        ethernet(0x86dd, &ipv6(44, &[&[6, 0, 0, 1, 0, 0, 0, 1][..], &syn].concat())),
        ethernet(0x86dd, &ipv6(51, &authentication)),
        ethernet(0x8847, &[&[0, 0, 0x51, 64][..], &inner].concat()),
        ethernet(0x8847, &[&[0, 0, 0x50, 64, 0, 0, 0x51, 64][..], &inner].concat()),
        ethernet(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0]),
        ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 44, 0, 0x21][..], &inner].concat()),
        ethernet(0x0026, &[&[0x42, 0x42, 3][..], &[0; 35]].concat()),
        ethernet(0x0026, &[&[0xfe, 0xfe, 3, 0x83][..], &[20; 40]].concat()),
        ethernet(0x0026, &[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &inner].concat()),
        ethernet(0x0026, &[&[0xff, 0xff][..], &[0; 36]].concat()),
        ethernet(0x809b, &[0; 46]),
        ethernet(0x6003, &[0; 46]),
        ethernet(0x88cc, &[2; 46]),
        [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 8, 6], &arp(1)].concat(),
        [&[1, 0, 0x5e, 0, 0, 1][..], &ethernet(0x0800, &inner)[6..]].concat(),
    ];
    let tagged: Vec<_> = frames.iter().map(|frame| with_tag(frame, 0x8100, 5)).collect();
    let twice = tagged.iter().map(|frame| with_tag(frame, 0x88a8, 100)).collect::<Vec<_>>();
    frames.extend(tagged);
    frames.extend(twice);
    // In several buffers at XDP.
    for bytes in [4096, 9000] {
        let mut jumbo = ethernet(0x0800, &ipv4(6, 0, &tcp(0x18)));
        jumbo.resize(bytes, 0x5a);
        frames.push(jumbo);
    }
    frames
}

/// The frame with a VLAN tag behind its addresses.
pub fn with_tag(frame: &[u8], kind: u16, control: u16) -> Vec<u8> {
    [&frame[..12], &kind.to_be_bytes(), &control.to_be_bytes(), &frame[12..]].concat()
}

/// A frame with some bytes changed, cut, or made longer.
pub fn mutated(frames: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut frame = frames.choose(random).unwrap().clone();
    for _ in 0..random.random_range(0..4) {
        let place = random.random_range(0..frame.len().min(80));
        frame[place] = random.random();
    }
    if random.random_bool(0.3) {
        let length = random.random_range(LEAST..=frame.len());
        frame.truncate(length.max(LEAST));
    }
    if random.random_bool(0.1) {
        frame.resize(frame.len() + random.random_range(1..200), 0x55);
    }
    frame
}

/// Changes a frame until it went through a program on another way than most frames would: where it
/// compares what it loaded with a constant, the frame is given that constant now and then.
pub fn steered(program: &Program, frame: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for _ in 0..random.random_range(1..24) {
        let wanted = walk(program, &frame, random);
        let Some((place, value)) = wanted else { break };
        frame[place..place + value.len()].copy_from_slice(&value);
    }
    frame
}

/// Goes through the program as far as this simple interpreter can; at a comparison that does not
/// hold it may stop with what to write where, so that it will.
fn walk(program: &Program, frame: &[u8], random: &mut SmallRng) -> Option<(usize, Vec<u8>)> {
    let (mut a, mut x, mut index) = (0_u32, 0_u32, 0_usize);
    // Where A was loaded from, and with how many bytes, unless it was calculated with since.
    let mut from: Option<(usize, usize)> = None;
    for _ in 0..5_000 {
        let instruction = *program.instructions().get(index)?;
        index += 1;
        let size = match instruction.code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            _ => 1,
        };
        match instruction.code {
            0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50 => {
                let base = if instruction.code & 0x40 == 0 { 0 } else { x as usize };
                let place = base.checked_add(instruction.k as usize)?;
                let bytes = frame.get(place..place.checked_add(size)?)?;
                a = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                from = Some((place, size));
            }
            0xb1 => x = u32::from(*frame.get(instruction.k as usize)? & 0xf) * 4,
            0x07 => x = a,
            0x01 => x = instruction.k,
            0x54 => a &= instruction.k,
            0x15 | 0x25 | 0x35 | 0x45 => {
                let k = instruction.k;
                let holds = match instruction.code {
                    0x15 => a == k,
                    0x25 => a > k,
                    0x35 => a >= k,
                    _ => a & k != 0,
                };
                if let (false, Some((place, size))) = (holds, from)
                    && random.random_bool(0.5)
                {
                    return Some((place, k.to_be_bytes()[4 - size..].to_vec()));
                }
                index += usize::from(if holds { instruction.jt } else { instruction.jf });
            }
            0x05 => index += instruction.k as usize,
            0x06 | 0x16 => return None,
            _ => from = None,
        }
    }
    None
}
