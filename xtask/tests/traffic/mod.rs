//! Numbered frames, and sending them over a wire.
#![allow(dead_code, reason = "no test uses all of it")]

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
    time::Duration,
};

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use xtask::lab::{Pair, Process};

/// Where the first word is in a frame: Ethernet, IPv4 and UDP in front of it.
pub const NUMBER_AT: usize = 42;
/// Sending a file of frames, on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A UDP datagram in a frame of `length` bytes that carries these words, and then a pattern of its
/// own.
pub fn datagram(ports: [u16; 2], length: usize, words: &[u32]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend_from_slice(&((length - 14) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9]);
    ports.iter().for_each(|port| frame.extend_from_slice(&port.to_be_bytes()));
    frame.extend_from_slice(&((length - 34) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    words.iter().for_each(|word| frame.extend_from_slice(&word.to_be_bytes()));
    let (start, seed) = (frame.len(), words.last().copied().unwrap_or(0));
    frame.extend((start..length).map(|at| (at as u32 ^ seed) as u8));
    frame
}

/// A datagram to `port` that carries its number; 60 to 1,499 bytes long.
pub fn frame(port: u16, number: u32) -> Vec<u8> {
    datagram([1024, port], 60 + (number as usize * 37) % 1440, &[number])
}

/// A pcap file of frames.
pub fn write_pcap(path: &Path, frames: impl Iterator<Item = Vec<u8>>) {
    let header = PcapHeader { snaplen: 262_144, ..PcapHeader::default() };
    let file = BufWriter::new(File::create(path).unwrap());
    let mut writer = PcapWriter::with_header(file, header).unwrap();
    for frame in frames {
        let length = frame.len() as u32;
        writer.write_packet(&PcapPacket::new(Duration::ZERO, length, &frame)).unwrap();
    }
}

/// A frame in a file.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When it was captured, since 1970.
    pub time: Duration,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// All frames of a pcap file, in its order; none may be cut.
pub fn read_pcap(path: &Path) -> Vec<Recorded> {
    let mut reader = PcapReader::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.orig_len as usize, packet.data.len(), "not cut");
        frames.push(Recorded { time: packet.timestamp, bytes: packet.data.into_owned() });
    }
    frames
}

/// Starts to send a pcap file over a wire, at so many frames a second or as fast as it takes them.
pub fn replay(pair: &Pair, wire: usize, file: &Path, rate: Option<u32>) -> Process {
    let speed = rate.map_or("--topspeed".to_owned(), |rate| format!("--pps={rate}"));
    let interface = format!("--intf1={}", pair.wires[wire].sender);
    pair.sender
        .spawn(&["tcpreplay", "--quiet", &speed, &interface, file.to_str().unwrap()])
        .unwrap()
}

/// Waits until all is sent.
pub fn sent(mut replay: Process) {
    let status = replay.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", replay.stderr());
}

/// Sends frames over the first wire as fast as it takes them; returns when all are sent.
pub fn send(pair: &Pair, frames: impl Iterator<Item = Vec<u8>>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    write_pcap(file.path(), frames);
    sent(replay(pair, 0, file.path(), None));
}
