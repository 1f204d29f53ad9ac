//! Turns a scrape into metric families.

use capture_common::{
    abi::{Counters, Direction, KernelLoss, Mode},
    class::{Class, LossSide},
    icmp,
    reason::Reason,
};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::{
    definitions::{self as d, Definition, Kind},
    scrape::{LedgerLine, Scrape},
};
use crate::{ledger::Loss, snapshot::InterfaceSnapshot};

const IP_VERSIONS: [&str; 2] = ["4", "6"];

/// All metrics of the daemon, those of the process excepted.
pub(super) fn of(scrape: &Scrape) -> Vec<MetricFamily> {
    let mut families = Vec::from(info(scrape));
    families.extend(frames(scrape));
    families.extend(tcp(scrape));
    families.extend([unparsed(scrape), icmp_messages(scrape)]);
    families.extend(flows(scrape));
    families.extend(daemon(scrape));
    families
}

/// A family that is being filled.
struct Family {
    definition: &'static Definition,
    metrics: Vec<Metric>,
}

impl Family {
    fn new(definition: &'static Definition) -> Self {
        Self { definition, metrics: Vec::new() }
    }

    /// Adds a series; the label values are in the order of the definition's labels.
    fn add(&mut self, labels: &[&str], value: f64) {
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let pairs = self.definition.labels.iter().zip(labels).map(pair).collect();
        let mut metric = Metric::from_label(pairs);
        match self.definition.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.metrics.push(metric);
    }

    /// Adds a count. Above 2^53 the format's floats are inexact.
    fn count(&mut self, labels: &[&str], value: u64) {
        self.add(labels, value as f64);
    }

    fn build(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.definition.name.to_owned());
        family.set_help(self.definition.help.to_owned());
        family.set_field_type(match self.definition.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(self.metrics);
        family
    }
}

/// Characters of a label's value.
const LABEL_LENGTH: usize = 200;

/// A text that may be long, as a label's value.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LABEL_LENGTH) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A family of one series without labels.
fn single(definition: &'static Definition, value: f64) -> MetricFamily {
    let mut family = Family::new(definition);
    family.add(&[], value);
    family.build()
}

/// What an interface counts in one direction.
struct View<'a> {
    interface: &'a str,
    direction: &'static str,
    counters: &'a Counters,
    line: LedgerLine,
}

/// All interfaces in both directions.
fn views(scrape: &Scrape) -> impl Iterator<Item = View<'_>> {
    scrape.interfaces.iter().flat_map(|interface| {
        let lines = scrape.lines(interface);
        [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")].map(
            |(direction, label)| View {
                interface: &interface.name,
                direction: label,
                counters: &interface.counters[direction as usize],
                line: lines[direction as usize],
            },
        )
    })
}

/// A family with a series for each interface and direction.
fn by_direction(
    definition: &'static Definition,
    scrape: &Scrape,
    value: impl Fn(&View<'_>) -> u64,
) -> MetricFamily {
    let mut family = Family::new(definition);
    for view in views(scrape) {
        family.count(&[view.interface, view.direction], value(&view));
    }
    family.build()
}

fn frames(scrape: &Scrape) -> [MetricFamily; 7] {
    [
        by_direction(&d::RECEIVED_FRAMES, scrape, |view| view.counters.received_frames),
        by_direction(&d::RECEIVED_BYTES, scrape, |view| view.counters.received_bytes),
        by_direction(&d::MATCHED_FRAMES, scrape, |view| view.counters.matched_frames),
        by_direction(&d::DELIVERED_FRAMES, scrape, |view| view.counters.delivered_frames),
        by_direction(&d::WRITTEN_FRAMES, scrape, |view| view.line.written_frames),
        by_direction(&d::WRITTEN_BYTES, scrape, |view| view.line.written_bytes),
        lost(scrape),
    ]
}

/// Both halves of the ledger; their stages have different names.
fn lost(scrape: &Scrape) -> MetricFamily {
    let mut family = Family::new(&d::LOST_FRAMES);
    for view in views(scrape) {
        let kernel = KernelLoss::ALL.into_iter().map(KernelLoss::label);
        let user = Loss::ALL.into_iter().map(Loss::label);
        let stages = kernel.zip(view.counters.lost_frames).chain(user.zip(view.line.lost_frames));
        for (stage, frames) in stages {
            family.count(&[view.interface, view.direction, stage], frames);
        }
    }
    family.build()
}

fn unparsed(scrape: &Scrape) -> MetricFamily {
    let mut family = Family::new(&d::UNPARSED_FRAMES);
    for view in views(scrape) {
        for (reason, frames) in Reason::ALL.into_iter().zip(view.counters.unparsed_frames) {
            family.count(&[view.interface, view.direction, reason.label()], frames);
        }
    }
    family.build()
}

fn tcp(scrape: &Scrape) -> [MetricFamily; 8] {
    let by_class = |definition, class: Class| {
        let mut family = Family::new(definition);
        for view in views(scrape) {
            for (version, counts) in IP_VERSIONS.into_iter().zip(&view.counters.tcp) {
                family.count(&[view.interface, view.direction, version], counts[class as usize]);
            }
        }
        family.build()
    };
    [
        retransmissions(scrape),
        retransmissions_by_side(scrape),
        by_class(&d::TCP_OUT_OF_ORDER, Class::OutOfOrder),
        by_class(&d::TCP_DUPLICATE_ACKS, Class::DuplicateAck),
        by_class(&d::TCP_LOST_SEGMENTS, Class::LostSegment),
        by_class(&d::TCP_KEEP_ALIVES, Class::KeepAlive),
        by_class(&d::TCP_ZERO_WINDOWS, Class::ZeroWindow),
        by_class(&d::TCP_RESETS, Class::Reset),
    ]
}

fn retransmissions(scrape: &Scrape) -> MetricFamily {
    let mut family = Family::new(&d::TCP_RETRANSMISSIONS);
    for view in views(scrape) {
        for (version, counts) in IP_VERSIONS.into_iter().zip(&view.counters.tcp) {
            for (class, segments) in Class::ALL.into_iter().zip(counts) {
                if let Some(label) = class.retransmission_label() {
                    family.count(&[view.interface, view.direction, version, label], *segments);
                }
            }
        }
    }
    family.build()
}

fn retransmissions_by_side(scrape: &Scrape) -> MetricFamily {
    let mut family = Family::new(&d::TCP_RETRANSMISSIONS_BY_SIDE);
    for view in views(scrape) {
        for (version, counts) in IP_VERSIONS.into_iter().zip(&view.counters.tcp_lost) {
            for (side, segments) in LossSide::ALL.into_iter().zip(counts) {
                family.count(&[view.interface, view.direction, version, side.label()], *segments);
            }
        }
    }
    family.build()
}

fn flows(scrape: &Scrape) -> [MetricFamily; 5] {
    [
        by_direction(&d::FLOWS_CREATED, scrape, |view| view.counters.flows_created),
        by_direction(&d::SYNS_LEFT_UNKNOWN, scrape, |view| view.counters.syns_left_unknown),
        single(&d::FLOWS, scrape.flows as f64),
        single(&d::FLOWS_LIMIT, scrape.flows_limit as f64),
        single(&d::FLOWS_EVICTED, scrape.flows_evicted as f64),
    ]
}

fn icmp_messages(scrape: &Scrape) -> MetricFamily {
    let mut family = Family::new(&d::ICMP_MESSAGES);
    for view in views(scrape) {
        for (message, count) in icmp::messages().zip(view.counters.icmp) {
            let version = message.ip_version.to_string();
            let (kind, code) = match message.type_and_code {
                Some((kind, code)) => (kind.to_string(), code.to_string()),
                None => ("other".to_owned(), "other".to_owned()),
            };
            family.count(&[view.interface, view.direction, &version, &kind, &code], count);
        }
    }
    family.build()
}

fn info(scrape: &Scrape) -> [MetricFamily; 3] {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut build = Family::new(&d::BUILD_INFO);
    build.add(&[env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, profile], 1.0);
    let mut interfaces = Family::new(&d::INTERFACE_INFO);
    let mut filters = Family::new(&d::FILTER_INFO);
    for interface in &scrape.interfaces {
        interfaces.add(&interface_labels(interface), 1.0);
        filters.add(&[&interface.name, &cut(interface.filter.to_string())], 1.0);
    }
    [build.build(), interfaces.build(), filters.build()]
}

fn interface_labels(interface: &InterfaceSnapshot) -> [&str; 4] {
    let mode = match interface.mode {
        Mode::Tap => "tap",
        Mode::Mirror => "mirror",
    };
    let copy = match interface.copy {
        Some(true) => "copy",
        Some(false) => "zero_copy",
        None => "none",
    };
    [&interface.name, mode, interface.attach.label(), copy]
}

fn daemon(scrape: &Scrape) -> [MetricFamily; 4] {
    let segments = &scrape.segments;
    let mut deleted = Family::new(&d::SEGMENTS_DELETED);
    deleted.count(&["bytes"], segments.deleted_by_bytes);
    deleted.count(&["count"], segments.deleted_by_count);
    let oldest = segments.oldest_frame.unwrap_or(0) as f64 / 1e9;
    [
        single(&d::SEGMENTS, segments.count as f64),
        single(&d::SEGMENT_BYTES, segments.bytes as f64),
        deleted.build(),
        single(&d::OLDEST_FRAME, oldest),
    ]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("ü".repeat(200)), "ü".repeat(200));
        assert_eq!(cut("ü".repeat(201)), "ü".repeat(200) + "…");
    }
}
