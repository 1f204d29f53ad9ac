//! Frame by frame: what the real ingress program sees in each segment, and what tshark does.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod conversations;
mod replay;

use std::{fs::File, io::BufWriter, path::Path, process::Command, time::Duration};

use capture_common::class::{Class, Classes};
use pcap_file::{
    DataLink, TsResolution,
    pcap::{PcapHeader, PcapPacket, PcapWriter},
};

use crate::replay::{Frame, Kernel, agreed};

const CONVERSATIONS: u32 = 4000;
/// Of 4,096 segments each.
const DRAWS: u32 = 50;
/// No less are compared.
const LEAST_FRAMES: usize = 50_000;

/// tshark's fields, without `tcp.analysis.`, and the classes that stand for each. Its
/// `retransmission` is set with `fast_` and `spurious_retransmission` too.
const FIELDS: [(&str, &[Class]); 13] = [
    (
        "retransmission",
        &[
            Class::SynRetransmission,
            Class::SynAckRetransmission,
            Class::Retransmission,
            Class::FastRetransmission,
            Class::SpuriousRetransmission,
        ],
    ),
    ("fast_retransmission", &[Class::FastRetransmission]),
    ("spurious_retransmission", &[Class::SpuriousRetransmission]),
    ("out_of_order", &[Class::OutOfOrder]),
    ("duplicate_ack", &[Class::DuplicateAck]),
    ("lost_segment", &[Class::LostSegment]),
    ("keep_alive", &[Class::KeepAlive]),
    ("keep_alive_ack", &[Class::KeepAliveAck]),
    ("zero_window", &[Class::ZeroWindow]),
    ("zero_window_probe", &[Class::ZeroWindowProbe]),
    ("zero_window_probe_ack", &[Class::ZeroWindowProbeAck]),
    ("window_update", &[Class::WindowUpdate]),
    ("flags.reset", &[Class::Reset]),
];

fn write(path: &Path, frames: &[Frame]) {
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        snaplen: 65_535,
        ..PcapHeader::default()
    };
    let file = BufWriter::new(File::create(path).unwrap());
    let mut writer = PcapWriter::with_header(file, header).unwrap();
    for frame in frames {
        let time = Duration::from_nanos(frame.time);
        let packet = PcapPacket::new(time, frame.bytes.len() as u32, &frame.bytes);
        writer.write_packet(&packet).unwrap();
    }
}

/// For each frame, which of [`FIELDS`] tshark sets.
fn tshark(path: &Path) -> Vec<Vec<&'static str>> {
    let mut tshark = Command::new("tshark");
    // No directory, no preferences: those of the user change what is analysed.
    tshark.env("WIRESHARK_CONFIG_DIR", "/nonexistent/wireshark");
    tshark.args(["-n", "-T", "fields", "-r"]).arg(path);
    for (field, _) in FIELDS {
        let group = if field == "flags.reset" { "tcp" } else { "tcp.analysis" };
        tshark.arg("-e").arg(format!("{group}.{field}"));
    }
    let output = tshark.output().expect("tshark is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is_set = |value: &str| !value.is_empty() && value != "0" && value != "False";
    let row = |line: &str| {
        let values = line.split('\t').map(is_set);
        FIELDS
            .iter()
            .zip(values)
            .filter(|(_, is_set)| *is_set)
            .map(|((name, _), _)| *name)
            .collect()
    };
    String::from_utf8(output.stdout).unwrap().lines().map(row).collect()
}

/// The same of the classes.
fn fields(classes: Classes) -> Vec<&'static str> {
    let holds = |all: &[Class]| all.iter().any(|class| classes.contains(*class));
    FIELDS.iter().filter(|(_, all)| holds(all)).map(|(name, _)| *name).collect()
}

/// Compares all frames, and returns how often each class was met.
fn compare(frames: &[Frame]) -> [usize; Class::COUNT] {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("frames.pcap");
    write(&path, frames);
    let tsharks = tshark(&path);
    assert_eq!(tsharks.len(), frames.len());
    let ours = agreed(&mut Kernel::new(), frames);
    let mut met = [0; Class::COUNT];
    let mut wrong = Vec::new();
    for (number, ((packet, classes), theirs)) in ours.iter().zip(&tsharks).enumerate() {
        classes.iter().for_each(|class| met[class as usize] += 1);
        let ours = fields(*classes);
        if ours != *theirs {
            let segment = packet.map(|packet| packet.segment);
            wrong.push(format!("frame {}: {ours:?}, tshark {theirs:?}: {segment:?}", number + 1));
        }
    }
    println!("{} frames", frames.len());
    Class::ALL.iter().for_each(|class| println!("{:7} {}", met[*class as usize], class.name()));
    if !wrong.is_empty() {
        let path = directory.keep();
        let some = &wrong[..wrong.len().min(20)];
        panic!("{} of {} frames in {path:?}:\n{}", wrong.len(), frames.len(), some.join("\n"));
    }
    met
}

#[test]
fn conversations_are_classified_as_by_tshark() {
    let frames = conversations::frames(0, CONVERSATIONS);
    assert!(frames.len() >= LEAST_FRAMES, "{} frames", frames.len());
    let met = compare(&frames);
    assert!(met.iter().all(|count| *count > 20), "{met:?}");
}

#[test]
fn segments_by_chance_are_classified_as_by_tshark() {
    compare(&conversations::chance::frames(0, DRAWS));
}
