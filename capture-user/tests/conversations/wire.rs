//! Segments as frames.

use capture_common::flow::tcp_flags::SYN;
use rand::{Rng as _, rngs::SmallRng};

use super::End;

const ETHERTYPE_OFFSET: usize = 12;

/// A segment with its numbers as they are on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub from: End,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub length: u16,
    pub flags: u8,
    pub window: u16,
    /// Window scale that a SYN offers.
    pub scale: Option<u8>,
}

/// Who talks with whom.
pub struct Endpoints {
    addresses: [Vec<u8>; 2],
    ports: [u16; 2],
    is_vlan: bool,
}

impl Endpoints {
    /// The number is part of an address, so that no two conversations are the same. The ports are
    /// none that a protocol is known by: a reader would look into the payload.
    pub fn new(number: u32, random: &mut SmallRng) -> Self {
        let [_, a, b, c] = number.to_be_bytes();
        let addresses = if random.random_bool(0.4) {
            let host = |net: u8| {
                [&[0x20, 1, 0xd, 0xb8, 0, net, 0, 0][..], &[0, 0, 0, 0, 0, a, b, c]].concat()
            };
            [host(1), host(2)]
        } else {
            [vec![10, a, b, c], vec![198, 18, 0, random.random()]]
        };
        Self {
            addresses,
            ports: [random.random_range(50_000..51_000), random.random_range(52_000..53_000)],
            is_vlan: random.random_bool(0.1),
        }
    }

    /// The hardware address tells who sent a frame.
    pub fn is_from(&self, end: End, frame: &[u8]) -> bool {
        frame[11] == end as u8
    }

    /// The frame that carries a segment; only lengths are filled in of what no one here looks at.
    pub fn frame(&self, segment: &Segment) -> Vec<u8> {
        let from = segment.from as usize;
        let to = segment.from.other() as usize;
        let tcp = self.tcp(segment);
        let mut frame = vec![2, 0, 0, 0, 0, to as u8, 2, 0, 0, 0, 0, from as u8];
        debug_assert_eq!(frame.len(), ETHERTYPE_OFFSET);
        if self.is_vlan {
            // Both directions have their own, as on a router on a stick.
            frame.extend_from_slice(&[0x81, 0, 0, 10 + from as u8]);
        }
        if self.addresses[0].len() == 4 {
            frame.extend_from_slice(&[8, 0, 0x45, 0]);
            frame.extend_from_slice(&(20 + tcp.len() as u16).to_be_bytes());
            frame.extend_from_slice(&[0, 1, 0x40, 0, 64, 6, 0, 0]);
        } else {
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
            frame.extend_from_slice(&[6, 64]);
        }
        frame.extend_from_slice(&self.addresses[from]);
        frame.extend_from_slice(&self.addresses[to]);
        frame.extend_from_slice(&tcp);
        // Ethernet pads short frames.
        frame.resize(frame.len().max(60), 0x5a);
        frame
    }

    fn tcp(&self, segment: &Segment) -> Vec<u8> {
        let mut options = Vec::new();
        if segment.flags & SYN != 0 {
            options.extend_from_slice(&[2, 4, 5, 0xb4]);
            if let Some(scale) = segment.scale {
                options.extend_from_slice(&[1, 3, 3, scale]);
            }
        }
        let words = 5 + options.len() / 4;
        let mut tcp = Vec::with_capacity(words * 4 + usize::from(segment.length));
        tcp.extend_from_slice(&self.ports[segment.from as usize].to_be_bytes());
        tcp.extend_from_slice(&self.ports[segment.from.other() as usize].to_be_bytes());
        tcp.extend_from_slice(&segment.sequence.to_be_bytes());
        tcp.extend_from_slice(&segment.acknowledgment.to_be_bytes());
        tcp.extend_from_slice(&[(words as u8) << 4, segment.flags]);
        tcp.extend_from_slice(&segment.window.to_be_bytes());
        tcp.extend_from_slice(&[0; 4]);
        tcp.extend_from_slice(&options);
        tcp.resize(tcp.len() + usize::from(segment.length), 0x2e);
        tcp
    }
}
