use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use capture_common::{
    abi::{Counters, Direction, KernelLoss, Mode},
    class::{Class, LossSide},
    icmp,
    reason::Reason,
};

use super::*;
use crate::{
    filter::Filter,
    flows::{FlowList, FlowQuery},
    ledger::{Ledger, Loss},
    snapshot::{Attach, InterfaceSnapshot, SegmentsSnapshot},
};

/// Two interfaces; every counter of the first has a value of its own.
#[derive(Default)]
struct Fixture {
    ledger: Ledger,
    zero: bool,
    broken: bool,
    /// Conversations in the table.
    flows: AtomicU64,
}

/// Distinct values: the position of the counter plus an offset for the direction.
fn distinct(offset: u64) -> Counters {
    let mut next = offset;
    let mut value = || {
        next += 1;
        next
    };
    Counters {
        received_frames: value(),
        received_bytes: value(),
        matched_frames: value(),
        delivered_frames: value(),
        lost_frames: std::array::from_fn(|_| value()),
        unparsed_frames: std::array::from_fn(|_| value()),
        tcp: std::array::from_fn(|_| std::array::from_fn(|_| value())),
        tcp_lost: std::array::from_fn(|_| std::array::from_fn(|_| value())),
        flows_created: value(),
        syns_left_unknown: value(),
        icmp: std::array::from_fn(|_| value()),
    }
}

impl SnapshotSource for Fixture {
    fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        if self.broken {
            return Err("map COUNTERS: out of memory".into());
        }
        let counters =
            if self.zero { [Counters::ZERO; 2] } else { [distinct(1000), distinct(2000)] };
        let first = InterfaceSnapshot {
            name: "eth0".into(),
            slot: 0,
            mode: Mode::Tap,
            attach: Attach::Native,
            copy: None,
            filter: Filter {
                expression: "tcp and port 80".parse().unwrap(),
                trouble: "reset".parse().unwrap(),
            },
            counters,
        };
        let second = InterfaceSnapshot {
            name: "eth1".into(),
            slot: 5,
            mode: Mode::Mirror,
            attach: Attach::Generic,
            copy: Some(false),
            filter: Filter::default(),
            counters: [Counters::ZERO; 2],
        };
        Ok(vec![first, second])
    }

    fn flows_limit(&self) -> Result<u64, String> {
        Ok(262_144)
    }

    fn flows(&self) -> Result<u64, String> {
        Ok(self.flows.load(Relaxed))
    }

    fn flow_records(&self, _: &FlowQuery) -> Result<FlowList, String> {
        Ok(FlowList::default())
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn segments(&self) -> SegmentsSnapshot {
        SegmentsSnapshot {
            count: 3,
            bytes: 4096,
            deleted_by_bytes: 5,
            deleted_by_count: 6,
            oldest_frame: (!self.zero).then_some(1_700_000_000_500_000_000),
        }
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The samples by their text, without those of the process.
fn samples(fixture: Fixture) -> BTreeMap<String, String> {
    samples_of(&Metrics::new(Arc::new(fixture)))
}

fn samples_of(metrics: &Metrics) -> BTreeMap<String, String> {
    let text = metrics.render().unwrap();
    text.lines()
        .filter(|line| line.starts_with("capture_"))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn each_counter_is_in_its_series() {
    let fixture = Fixture::default();
    let line = fixture.ledger.line(5, Direction::Egress);
    line.add_written(7, 700);
    line.add_lost(Loss::DiskFull, 8);
    let samples = samples(fixture);
    let counters = distinct(1000);
    let egress = distinct(2000);
    let on = |rest: &str| format!("{{interface=\"eth0\",direction=\"ingress\"{rest}}}");
    let expect = |series: String, value: u64| {
        assert_eq!(samples.get(&series), Some(&value.to_string()), "{series}");
    };
    expect(format!("capture_received_frames_total{}", on("")), counters.received_frames);
    expect(format!("capture_received_bytes_total{}", on("")), counters.received_bytes);
    expect(format!("capture_matched_frames_total{}", on("")), counters.matched_frames);
    expect(format!("capture_delivered_frames_total{}", on("")), counters.delivered_frames);
    for stage in KernelLoss::ALL {
        let labels = on(&format!(",stage=\"{}\"", stage.label()));
        let lost = counters.lost_frames[stage as usize];
        expect(format!("capture_lost_frames_total{labels}"), lost);
    }
    for reason in Reason::ALL {
        let labels = on(&format!(",reason=\"{}\"", reason.label()));
        let frames = counters.unparsed_frames[reason as usize];
        expect(format!("capture_unparsed_frames_total{labels}"), frames);
    }
    let eth1 = "{interface=\"eth1\",direction=\"egress\"";
    expect(format!("capture_written_frames_total{eth1}}}"), 7);
    expect(format!("capture_written_bytes_total{eth1}}}"), 700);
    expect(format!("capture_lost_frames_total{eth1},stage=\"disk_full\"}}"), 8);
    expect(
        "capture_received_frames_total{interface=\"eth0\",direction=\"egress\"}".into(),
        egress.received_frames,
    );
}

#[test]
fn each_tcp_and_icmp_counter_is_in_its_series() {
    let samples = samples(Fixture::default());
    let counters = distinct(1000);
    for (class, series) in [
        (Class::SynRetransmission, "retransmissions_total,class=\"syn\""),
        (Class::SynAckRetransmission, "retransmissions_total,class=\"syn_ack\""),
        (Class::Retransmission, "retransmissions_total,class=\"retransmission\""),
        (Class::FastRetransmission, "retransmissions_total,class=\"fast\""),
        (Class::SpuriousRetransmission, "retransmissions_total,class=\"spurious\""),
        (Class::OutOfOrder, "out_of_order_total"),
        (Class::DuplicateAck, "duplicate_acks_total"),
        (Class::LostSegment, "lost_segments_total"),
        (Class::KeepAlive, "keep_alives_total"),
        (Class::ZeroWindow, "zero_windows_total"),
        (Class::Reset, "resets_total"),
    ] {
        let (name, label) = series.split_once(',').unwrap_or((series, ""));
        let comma = if label.is_empty() { "" } else { "," };
        for (index, version) in [(0, "4"), (1, "6")] {
            let series = format!(
                "capture_tcp_{name}{{interface=\"eth0\",direction=\"ingress\",\
                 ip_version=\"{version}\"{comma}{label}}}"
            );
            let value = counters.tcp[index][class as usize].to_string();
            assert_eq!(samples.get(&series), Some(&value), "{series}");
        }
    }
    for (version, kind, code) in [(4, 3, 3), (4, 11, 0), (6, 1, 4), (6, 4, 10)] {
        let series = format!(
            "capture_icmp_messages_total{{interface=\"eth0\",direction=\"ingress\",\
             ip_version=\"{version}\",type=\"{kind}\",code=\"{code}\"}}"
        );
        let value = counters.icmp[icmp::index(version, kind, code)].to_string();
        assert_eq!(samples.get(&series), Some(&value), "{series}");
    }
}

#[test]
fn each_count_of_flows_is_in_its_series() {
    let fixture = Fixture { flows: 17.into(), ..Fixture::default() };
    let samples = samples(fixture);
    let on = "interface=\"eth0\",direction";
    let mut expected = Vec::new();
    for (direction, offset) in [("ingress", 1000), ("egress", 2000)] {
        let counters = distinct(offset);
        for (name, value) in [
            ("flows_created", counters.flows_created),
            ("syns_left_unknown", counters.syns_left_unknown),
        ] {
            expected.push((format!("capture_{name}_total{{{on}=\"{direction}\"}}"), value));
        }
        for (version, sides) in ["4", "6"].into_iter().zip(counters.tcp_lost) {
            for side in LossSide::ALL {
                let series = format!(
                    "capture_tcp_retransmissions_by_side_total{{{on}=\"{direction}\",\
                     ip_version=\"{version}\",side=\"{}\"}}",
                    side.label()
                );
                expected.push((series, sides[side as usize]));
            }
        }
    }
    let created = distinct(1000).flows_created + distinct(2000).flows_created;
    expected.push(("capture_flows_evicted_total".into(), created - 17));
    for (series, value) in expected {
        assert_eq!(samples.get(&series), Some(&value.to_string()), "{series}");
    }
}

/// A table that looks fuller for a moment has not taken back what it forgot.
#[test]
fn evictions_never_decrease() {
    let fixture = Arc::new(Fixture::default());
    let metrics = Metrics::new(fixture.clone());
    let created = distinct(1000).flows_created + distinct(2000).flows_created;
    // More than were created, too: some were counted twice.
    for (present, most) in [(created + 1, 0), (created, 0), (90, created - 90), (100, created - 90)]
    {
        fixture.flows.store(present, Relaxed);
        let evicted = samples_of(&metrics)["capture_flows_evicted_total"].clone();
        assert_eq!(evicted, most.to_string(), "{present} present");
    }
}

#[test]
fn the_daemon_and_its_interfaces_are_described() {
    let samples = samples(Fixture { flows: 17.into(), ..Fixture::default() });
    let version = env!("CARGO_PKG_VERSION");
    for (start, value) in [
        (format!("capture_build_info{{version=\"{version}\","), "1"),
        (
            "capture_interface_info{interface=\"eth0\",mode=\"tap\",attach=\"native\",\
             copy=\"none\"}"
                .into(),
            "1",
        ),
        (
            "capture_interface_info{interface=\"eth1\",mode=\"mirror\",attach=\"generic\",\
             copy=\"zero_copy\"}"
                .into(),
            "1",
        ),
        (
            "capture_filter_info{interface=\"eth0\",filter=\"tcp and port 80 [trouble: reset]\"}"
                .into(),
            "1",
        ),
        ("capture_filter_info{interface=\"eth1\",filter=\"\"}".into(), "1"),
        ("capture_flows".into(), "17"),
        ("capture_flows_limit".into(), "262144"),
        ("capture_segments".into(), "3"),
        ("capture_segment_bytes".into(), "4096"),
        ("capture_segments_deleted_total{reason=\"bytes\"}".into(), "5"),
        ("capture_segments_deleted_total{reason=\"count\"}".into(), "6"),
        ("capture_oldest_frame_timestamp_seconds".into(), "1700000000.5"),
    ] {
        let found = samples.iter().find(|(series, _)| series.starts_with(&start));
        assert_eq!(found.map(|(_, value)| value.as_str()), Some(value), "{start}");
    }
}

#[test]
fn every_series_exists_with_zero_from_the_start() {
    let zero = samples(Fixture { zero: true, ..Fixture::default() });
    let later = samples(Fixture::default());
    assert!(zero.keys().eq(later.keys()));
    // Two interfaces and two directions: the frames, the stages, the reasons, the TCP classes, the
    // sides, the flows and the ICMP messages; one for the build, two for each interface, eight for
    // the daemon.
    let stages = KernelLoss::COUNT + Loss::COUNT;
    let tcp = 2 * (5 + 6 + LossSide::COUNT) + 2;
    let each = 6 + stages + Reason::COUNT + tcp + icmp::COUNT;
    assert_eq!(zero.len(), 4 * each + 1 + 2 * 2 + 8);
    let single = ["capture_oldest_frame_timestamp_seconds", "capture_flows_evicted_total"];
    let counts = zero
        .iter()
        .filter(|(series, _)| series.contains("direction=") || single.contains(&series.as_str()));
    for (series, value) in counts {
        assert_eq!(value, "0", "{series}");
    }
}

#[test]
fn stages_of_both_halves_differ() {
    let labels: BTreeSet<&str> = KernelLoss::ALL
        .map(KernelLoss::label)
        .into_iter()
        .chain(Loss::ALL.map(Loss::label))
        .collect();
    assert_eq!(labels.len(), KernelLoss::COUNT + Loss::COUNT);
}

#[test]
fn a_source_that_cannot_be_read_gives_an_error() {
    let metrics = Metrics::new(Arc::new(Fixture { broken: true, ..Fixture::default() }));
    let error = metrics.render().unwrap_err();
    assert_eq!(error.to_string(), "counters of the interfaces: map COUNTERS: out of memory");
}

#[test]
fn families_are_those_that_are_defined() {
    let families = Metrics::new(Arc::new(Fixture::default())).gather().unwrap();
    let (own, process): (Vec<_>, Vec<_>) =
        families.iter().partition(|family| family.name().starts_with("capture_"));
    assert_eq!(own.len(), DEFINITIONS.len());
    for family in own {
        let definition = DEFINITIONS.iter().find(|d| d.name == family.name()).unwrap();
        for metric in family.get_metric() {
            let names: Vec<&str> = metric.get_label().iter().map(|pair| pair.name()).collect();
            assert_eq!(names, definition.labels, "{}", definition.name);
        }
    }
    assert!(process.iter().any(|family| family.name() == "process_resident_memory_bytes"));
}

/// The rows that `docs/metrics.md` must have.
fn rows() -> Vec<String> {
    let own = DEFINITIONS.iter().map(|metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        format!("| `{}` | {} | {labels} | {} |", metric.name, metric.kind, metric.help)
    });
    let process = ProcessCollector::for_self().collect();
    let process = process.iter().map(|family| {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        format!("| `{}` | {kind} |  | {} |", family.name(), family.help())
    });
    own.chain(process).collect()
}

#[test]
fn the_documentation_has_these_metrics_and_no_others() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let is_metric =
        |line: &&str| line.starts_with("| `capture_") || line.starts_with("| `process_");
    let documented: Vec<&str> = text.lines().filter(is_metric).collect();
    let expected = rows();
    assert!(
        documented == expected,
        "docs/metrics.md must have these rows, in this order:\n{}",
        expected.join("\n")
    );
    // What the labels can be is listed, too.
    let values = KernelLoss::ALL
        .map(KernelLoss::label)
        .into_iter()
        .chain(Loss::ALL.map(Loss::label))
        .chain(Reason::ALL.map(Reason::label))
        .chain(Class::ALL.into_iter().filter_map(Class::retransmission_label))
        .chain(LossSide::ALL.map(LossSide::label));
    for value in values {
        assert!(text.contains(&format!("\n| `{value}` |")), "the value `{value}` is missing");
    }
}
