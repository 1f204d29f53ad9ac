//! Real captures through the real ingress program, with the captures' own times: the counts are
//! tshark's.
//!
//! The captures are not part of the project. Where they are not there, this says so and does
//! nothing.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod captures;
mod replay;

use std::path::Path;

use capture_common::{
    abi::Counters,
    class::{Class, Classes},
    flow::tcp_flags::FIN,
    icmp,
    parse::Packet,
};

use crate::{
    captures::expected::{self, Counts, Row},
    replay::{Kernel, agreed},
};

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");

/// Columns that count TCP, inside of tunnels and outside.
const COLUMNS: [&str; 18] = [
    "tcp",
    "plain",
    "fast_retransmission",
    "spurious_retransmission",
    "out_of_order",
    "resent_or_ooo",
    "duplicate_ack",
    "keep_alive",
    "keep_alive_ack",
    "zero_window",
    "zero_window_probe",
    "zero_window_probe_ack",
    "syn_retx",
    "synack_retx",
    "fin_retx",
    "rst",
    "lost_segment",
    "frames",
];

/// Where we differ on purpose from what tshark says of all of TCP. For `vxlan.pcap` it takes the
/// same connection in two VNIs and outside for one; taken apart, it finds nothing in any of them.
const DIFFERENT: [(&str, &[&str]); 1] = [(
    "vxlan.pcap",
    &[
        "plain",
        "fast_retransmission",
        "resent_or_ooo",
        "duplicate_ack",
        "syn_retx",
        "synack_retx",
        "fin_retx",
    ],
)];

/// What tshark calls a retransmission of a FIN.
const RETRANSMISSIONS: [Class; 3] =
    [Class::Retransmission, Class::FastRetransmission, Class::SpuriousRetransmission];

/// What is to be found in a file.
fn expected(row: &Row) -> Counts {
    let mut counts = row.counts(&COLUMNS);
    for column in DIFFERENT.iter().filter(|(file, _)| *file == row.file).flat_map(|(_, all)| *all) {
        let tsharks = counts.insert((*column).to_owned(), 0);
        assert!(tsharks.is_some_and(|count| count > 0), "{}: no difference in {column}", row.file);
    }
    counts
}

/// What was found, in the terms of the columns.
fn found(counters: &Counters, segments: &[(Option<Packet>, Classes)]) -> Counts {
    let count = |class: Class| counters.tcp.iter().map(|tcp| tcp[class as usize]).sum::<u64>();
    let syn = count(Class::SynRetransmission);
    let syn_ack = count(Class::SynAckRetransmission);
    let plain = syn + syn_ack + count(Class::Retransmission);
    let fast = count(Class::FastRetransmission);
    let spurious = count(Class::SpuriousRetransmission);
    let out_of_order = count(Class::OutOfOrder);
    let is_resent_fin = |(packet, classes): &&(Option<Packet>, Classes)| {
        packet.is_some_and(|packet| packet.segment.has(FIN))
            && RETRANSMISSIONS.iter().any(|class| classes.contains(*class))
    };
    let numbers = [
        ("frames", counters.received_frames),
        ("tcp", segments.iter().filter(|(packet, _)| packet.is_some()).count() as u64),
        ("plain", plain),
        ("fast_retransmission", fast),
        ("spurious_retransmission", spurious),
        ("out_of_order", out_of_order),
        ("resent_or_ooo", plain + fast + spurious + out_of_order),
        ("duplicate_ack", count(Class::DuplicateAck)),
        ("keep_alive", count(Class::KeepAlive)),
        ("keep_alive_ack", count(Class::KeepAliveAck)),
        ("zero_window", count(Class::ZeroWindow)),
        ("zero_window_probe", count(Class::ZeroWindowProbe)),
        ("zero_window_probe_ack", count(Class::ZeroWindowProbeAck)),
        ("syn_retx", syn),
        ("synack_retx", syn_ack),
        ("fin_retx", segments.iter().filter(is_resent_fin).count() as u64),
        ("rst", count(Class::Reset)),
        ("lost_segment", count(Class::LostSegment)),
    ];
    let numbers = numbers.map(|(name, count)| (name.to_owned(), count));
    numbers.into_iter().chain(errors(counters)).collect()
}

/// The ICMP and ICMPv6 errors that occurred.
fn errors(counters: &Counters) -> impl Iterator<Item = (String, u64)> {
    let v4 = [3, 4, 5, 11, 12].map(|kind| ("icmp_err", 4, kind));
    let v6 = [1, 2, 3, 4].map(|kind| ("icmpv6_err", 6, kind));
    let codes = |(column, version, kind)| (0..16).map(move |code| (column, version, kind, code));
    v4.into_iter().chain(v6).flat_map(codes).filter_map(|(column, version, kind, code)| {
        let index = icmp::index(version, kind, code);
        // The counter of all others belongs to no code.
        let is_other = index == icmp::index(version, u8::MAX, u8::MAX);
        let count = counters.icmp[index];
        (!is_other && count > 0).then(|| (format!("{column} {kind}/{code}"), count))
    })
}

/// What does not agree, in words. Of errors, none may be found that is not expected.
fn differences(row: &Row, expected: &Counts, found: &Counts) -> Vec<String> {
    let mut names: Vec<&String> = expected.keys().collect();
    names
        .extend(found.keys().filter(|name| name.contains("err ") && !expected.contains_key(*name)));
    let count = |counts: &Counts, name: &String| counts.get(name).copied().unwrap_or(0);
    let different = |name: &&String| count(expected, name) != count(found, name);
    names
        .into_iter()
        .filter(different)
        .map(|name| {
            let (expected, found) = (count(expected, name), count(found, name));
            format!("{}: {name} is {found}, expected {expected}", row.file)
        })
        .collect()
}

#[test]
fn counts_are_tsharks() {
    let captures = Path::new(CAPTURES);
    if !captures.is_dir() {
        println!("skipped: there are no captures in {CAPTURES}");
        return;
    }
    let rows = expected::read(&captures.join("expected.tsv"));
    assert!(!rows.is_empty());
    let mut wrong = Vec::new();
    for row in &rows {
        let frames = captures::read(&captures.join(&row.file));
        let mut kernel = Kernel::new();
        let segments = agreed(&mut kernel, &frames);
        let found = found(&kernel.counters(), &segments);
        let expected = expected(row);
        println!("{}: {} frames, {} counts", row.file, frames.len(), expected.len());
        wrong.extend(differences(row, &expected, &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
