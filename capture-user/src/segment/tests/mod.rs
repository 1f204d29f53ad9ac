//! The store as a whole: frames in, files out. The files are read back by the crate pcap-file.

mod disk_full;
mod properties;
mod recovery;
mod rotation;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use capture_common::{abi::Direction, class::Classes};
use pcap_file::{
    pcap::PcapReader,
    pcapng::{
        Block, PcapNgReader,
        blocks::{
            enhanced_packet::EnhancedPacketOption, interface_statistics::InterfaceStatisticsOption,
        },
    },
};

use super::*;
use crate::{
    frame::{FrameInfo, FrameSink},
    ledger::{Ledger, Loss},
};

/// 2026-01-01 00:00:00 UTC.
const START: u64 = 1_767_225_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// Slots of the two interfaces of the writers below, in the order of their numbers.
const SLOTS: [u8; 2] = [0, 63];

/// A frame as it is in a file, as far as the format says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    timestamp: u64,
    original: u32,
    data: Vec<u8>,
    /// pcapng only: number of the interface, flags, comment.
    more: Option<(u32, u32, String)>,
}

fn settings(directory: &Path, format: Format) -> Settings {
    Settings {
        directory: directory.into(),
        format,
        rotate_bytes: None,
        rotate_after: None,
        retain_bytes: None,
        retain_count: None,
        snap_length: 0,
    }
}

fn interfaces() -> Vec<InterfaceDescription> {
    SLOTS
        .map(|slot| InterfaceDescription {
            slot,
            name: format!("eth{slot}"),
            description: "tap mode".into(),
            filter: "tcp or icmp".into(),
            snap_length: 0,
        })
        .into()
}

fn info(timestamp: u64, length: usize) -> FrameInfo {
    FrameInfo {
        timestamp,
        original_length: length as u32,
        slot: SLOTS[0],
        direction: Direction::Ingress,
        queue: 0,
        classes: Classes::NONE,
    }
}

/// A frame whose first eight bytes are its number, padded to 100 bytes.
fn numbered(number: u64) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(100, number as u8);
    data
}

fn number(stored: &Stored) -> u64 {
    u64::from_be_bytes(*stored.data.first_chunk().unwrap())
}

/// The published segments, oldest first.
fn published(directory: &Path) -> Vec<PathBuf> {
    files(directory, |name| SegmentName::parse(name).is_some())
}

/// The segments being written.
fn partial(directory: &Path) -> Vec<PathBuf> {
    files(directory, |name| SegmentName::parse_partial(name).is_some())
}

/// Waits until the publisher has renamed all but so many of the partial segments.
fn wait_for_partials(directory: &Path, count: usize) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while partial(directory).len() != count {
        assert!(std::time::Instant::now() < deadline, "{:?}", partial(directory));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn files(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| wanted(path.file_name().unwrap().to_str().unwrap()))
        .collect();
    files.sort();
    files
}

/// The frames of a file, which must be well-formed to its end.
fn read(path: &Path) -> Vec<Stored> {
    let file = File::open(path).unwrap();
    if path.to_str().unwrap().contains(".pcapng") { read_pcapng(file).0 } else { read_pcap(file) }
}

fn read_pcap(file: File) -> Vec<Stored> {
    let mut reader = PcapReader::new(file).unwrap();
    let mut frames = Vec::new();
    // Raw: the reader's own check refuses frames that the snap length has cut.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.incl_len as usize, packet.data.len());
        frames.push(Stored {
            timestamp: u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac),
            original: packet.orig_len,
            data: packet.data.into_owned(),
            more: None,
        });
    }
    frames
}

/// Received, dropped and delivered, as an interface's statistics say.
type StoredStatistics = [u64; 3];

fn read_pcapng(file: File) -> (Vec<Stored>, Vec<StoredStatistics>) {
    let mut reader = PcapNgReader::new(file).unwrap();
    let (mut frames, mut statistics) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::EnhancedPacket(packet) => {
                let (mut flags, mut comment) = (0, String::new());
                for option in &packet.options {
                    match option {
                        EnhancedPacketOption::Flags(value) => flags = *value,
                        EnhancedPacketOption::Comment(text) => comment = text.to_string(),
                        other => panic!("unexpected option {other:?}"),
                    }
                }
                frames.push(Stored {
                    timestamp: u64::try_from(packet.timestamp.as_nanos()).unwrap(),
                    original: packet.original_len,
                    data: packet.data.to_vec(),
                    more: Some((packet.interface_id, flags, comment)),
                });
            }
            Block::InterfaceStatistics(block) => {
                let mut counts = [0; 3];
                for option in &block.options {
                    match option {
                        InterfaceStatisticsOption::IsbIfRecv(count) => counts[0] = *count,
                        InterfaceStatisticsOption::IsbIfDrop(count) => counts[1] = *count,
                        InterfaceStatisticsOption::IsbUsrDeliv(count) => counts[2] = *count,
                        _ => {}
                    }
                }
                statistics.push(counts);
            }
            Block::InterfaceDescription(_) => {}
            other => panic!("unexpected block {other:?}"),
        }
    }
    (frames, statistics)
}

/// Written and lost frames of the whole ledger.
fn totals(ledger: &Ledger, stage: Loss) -> (u64, u64) {
    let lines =
        || (0..64).flat_map(|slot| Direction::ALL.map(|direction| ledger.line(slot, direction)));
    (
        lines().map(|line| line.written_frames()).sum(),
        lines().map(|line| line.lost_frames(stage)).sum(),
    )
}
