//! Reading pcap and pcapng files.

use std::{fs, path::Path};

use pcap_file::{
    DataLink, TsResolution,
    pcap::PcapReader,
    pcapng::{Block, PcapNgReader, blocks::interface_description::InterfaceDescriptionOption},
};

use crate::replay::Frame;

const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The frames of a file. Those that it holds cut are as long as they were, with zeros at the end.
/// What the name ends with says little of
/// the format.
pub fn read(path: &Path) -> Vec<Frame> {
    let file = fs::read(path).unwrap();
    if file.starts_with(&PCAPNG) { pcapng(&file) } else { pcap(&file) }
}

fn pcap(file: &[u8]) -> Vec<Frame> {
    let mut reader = PcapReader::new(file).unwrap();
    let header = reader.header();
    assert_eq!(header.datalink, DataLink::ETHERNET);
    let unit = match header.ts_resolution {
        TsResolution::MicroSecond => 1_000,
        TsResolution::NanoSecond => 1,
    };
    let mut frames = Vec::new();
    // Raw, since the reader refuses frames that were cut by the file's snap length.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.unwrap();
        let time = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac) * unit;
        frames.push(Frame { time, bytes: whole(packet.data.into_owned(), packet.orig_len) });
    }
    frames
}

fn whole(mut bytes: Vec<u8>, length: u32) -> Vec<u8> {
    bytes.resize(bytes.len().max(length as usize), 0);
    bytes
}

fn pcapng(file: &[u8]) -> Vec<Frame> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let (mut frames, mut units) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::InterfaceDescription(interface) => {
                assert_eq!(interface.linktype, DataLink::ETHERNET);
                let resolution = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
                    _ => None,
                });
                units.push(nanoseconds(resolution.unwrap_or(6)));
            }
            Block::EnhancedPacket(packet) => {
                // The reader takes all times for nanoseconds.
                let unit = units[packet.interface_id as usize];
                let time = packet.timestamp.as_nanos() as u64 * unit;
                frames.push(Frame {
                    time,
                    bytes: whole(packet.data.into_owned(), packet.original_len),
                });
            }
            Block::SimplePacket(_) | Block::Packet(_) => panic!("a packet without its time"),
            _ => {}
        }
    }
    frames
}

/// A unit of time stamps in nanoseconds, by the negative power of ten that `if_tsresol` holds.
fn nanoseconds(resolution: u8) -> u64 {
    assert!(resolution <= 9, "{resolution}");
    10_u64.pow(u32::from(9 - resolution))
}
