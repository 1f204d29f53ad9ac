//! Numbered frames, and sending them over a wire.

use std::{fs::File, io::BufWriter, time::Duration};

use pcap_file::pcap::{PcapPacket, PcapWriter};
use xtask::lab::Pair;

/// Where the number is in a frame: Ethernet, IPv4 and UDP in front of it.
pub const NUMBER_AT: usize = 42;
/// Sending a file of frames, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A UDP datagram to `port` that carries its number; 60 to 1,499 bytes long.
pub fn frame(port: u16, number: u32) -> Vec<u8> {
    let length = 60 + (number as usize * 37) % 1440;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend_from_slice(&((length - 14) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9, 4, 0]);
    frame.extend_from_slice(&port.to_be_bytes());
    frame.extend_from_slice(&((length - 34) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&number.to_be_bytes());
    let start = frame.len();
    frame.extend((start..length).map(|at| (at as u32 ^ number) as u8));
    frame
}

/// Sends frames over the first wire as fast as it takes them; returns when all are sent.
pub fn send(pair: &Pair, frames: impl Iterator<Item = Vec<u8>>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = PcapWriter::new(BufWriter::new(File::create(file.path()).unwrap())).unwrap();
    for frame in frames {
        let length = frame.len() as u32;
        writer.write_packet(&PcapPacket::new(Duration::ZERO, length, &frame)).unwrap();
    }
    drop(writer);
    let interface = format!("--intf1={}", pair.wires[0].sender);
    let path = file.path().to_str().unwrap();
    let command = ["tcpreplay", "--quiet", "--topspeed", &interface, path];
    let mut sender = pair.sender.spawn(&command).unwrap();
    let status = sender.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", sender.stderr());
}
