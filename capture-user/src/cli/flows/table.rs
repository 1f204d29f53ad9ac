//! Conversations as a table.

use std::{borrow::Cow, net::SocketAddr};

use capture_common::class::Class;
use jiff::Timestamp;

use crate::flows::{DirectionView, EndpointView, FlowView, FlowsView, IcmpView};

/// Heading of a column, and whether its cells are numbers, which end in one line.
const COLUMNS: [(&str, bool); 11] = [
    ("CLIENT", false),
    ("SERVER", false),
    ("STATE", false),
    ("RTT>", true),
    ("<RTT", true),
    ("PACKETS>", true),
    ("<PACKETS", true),
    ("BYTES>", true),
    ("<BYTES", true),
    ("SEEN", true),
    ("TROUBLE", false),
];

const LEGEND: &str = "> by the client, < by the server; RTT> from here to the server and back, \
    <RTT to the client";

/// The table with its heading; lines end at `width` characters, if one is given.
pub(super) fn render(view: &FlowsView, width: Option<usize>) -> String {
    let now = view.time.parse().ok();
    let mut lines = vec![COLUMNS.map(|(heading, _)| heading.to_owned())];
    lines.extend(view.flows.iter().map(|flow| cells(flow, now)));
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
        lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for cells in &lines {
        text.push_str(&cut(line(cells, &widths), width));
        text.push('\n');
    }
    text.push_str(&cut(footer(view), width));
    text.push('\n');
    text
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for ((cell, width), (_, is_number)) in cells.iter().zip(widths).zip(COLUMNS) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(&if is_number {
            format!("{cell:>width$}")
        } else {
            format!("{cell:<width$}")
        });
    }
    line.truncate(line.trim_end().len());
    line
}

fn cut(line: String, width: Option<usize>) -> String {
    match width {
        Some(width) => line.chars().take(width).collect(),
        None => line,
    }
}

fn footer(view: &FlowsView) -> String {
    let shown = view.flows.len() as u64;
    match view.matched {
        0 => "no conversation matches".to_owned(),
        matched if matched == shown => format!("{matched} by {}; {LEGEND}", view.sort),
        matched => format!("{shown} of {matched} by {} (--limit); {LEGEND}", view.sort),
    }
}

fn cells(flow: &FlowView, now: Option<Timestamp>) -> [String; COLUMNS.len()] {
    let (there, back) = (&flow.from_client, &flow.from_server);
    [
        endpoint(flow, flow.client),
        endpoint(flow, flow.server),
        flow.state.replace('_', "-"),
        rtt(flow.server_rtt_seconds),
        rtt(flow.client_rtt_seconds),
        short(there.packets),
        short(back.packets),
        short(there.bytes),
        short(back.bytes),
        ago(&flow.last_seen, now),
        trouble(flow),
    ]
}

fn endpoint(flow: &FlowView, end: EndpointView) -> String {
    match &*flow.protocol {
        "tcp" => SocketAddr::new(end.address, end.port).to_string(),
        other if end.port == 0 => format!("{} {other}", end.address),
        other => format!("{} {other}", SocketAddr::new(end.address, end.port)),
    }
}

fn rtt(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.000_999_5 => format!("{:.0}µs", seconds * 1e6),
        Some(seconds) if seconds < 0.0995 => format!("{:.1}ms", seconds * 1000.0),
        Some(seconds) if seconds < 9.995 => format!("{:.0}ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.0}s"),
    }
}

/// A count with at most four digits, in decimal units.
fn short(count: u64) -> String {
    let mut count = count as f64;
    for unit in ["", "k", "M", "G", "T"] {
        if count < 9_999.5 {
            return if unit.is_empty() || count >= 99.95 {
                format!("{count:.0}{unit}")
            } else {
                format!("{count:.1}{unit}")
            };
        }
        count /= 1000.0;
    }
    format!("{count:.0}P")
}

/// How long before the answer that was.
fn ago(time: &str, now: Option<Timestamp>) -> String {
    let (Ok(time), Some(now)) = (time.parse::<Timestamp>(), now) else { return "-".to_owned() };
    let seconds = now.duration_since(time).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}min", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn trouble(flow: &FlowView) -> String {
    let mut parts = Vec::new();
    directed(&flow.from_client, '>', &mut parts);
    directed(&flow.from_server, '<', &mut parts);
    if let Some(icmp) = &flow.icmp {
        parts.push(error(icmp));
    }
    if let Some(tunnel) = flow.tunnel {
        parts.push(format!("in tunnel {tunnel:#x}"));
    }
    parts.join(", ")
}

/// What healthy connections do not have, in the order of the classes.
fn directed(direction: &DirectionView, arrow: char, parts: &mut Vec<String>) {
    let is_benign =
        |class| matches!(class, Class::KeepAlive | Class::KeepAliveAck | Class::WindowUpdate);
    for class in Class::ALL {
        match direction.classes.get(class) {
            0 => {}
            _ if is_benign(class) => {}
            count => parts.push(format!("{arrow} {count} {}", class.name())),
        }
    }
    let sides = [
        (direction.retransmissions_upstream, "before"),
        (direction.retransmissions_downstream, "behind"),
    ];
    for (count, side) in sides {
        if count > 0 {
            parts.push(format!("{arrow} {count} lost {side} the gateway"));
        }
    }
}

fn error(icmp: &IcmpView) -> String {
    let (kind, code) = (icmp.kind, icmp.code);
    let name = message(icmp).map_or(Cow::Borrowed(""), |name| format!(" ({name})").into());
    let version = if icmp.ip_version == 6 { "ICMPv6" } else { "ICMP" };
    let from = match &*icmp.origin {
        "hop" => format!("hop {}", icmp.sender),
        end => format!("the {end}"),
    };
    format!("{} {version} {kind}/{code}{name} from {from}", icmp.count)
}

/// In tcpdump's words, the errors that are met (RFC 792, 1122, 1812, 4443).
fn message(icmp: &IcmpView) -> Option<&'static str> {
    Some(match (icmp.ip_version, icmp.kind, icmp.code) {
        (4, 3, 0) => "net unreachable",
        (4, 3, 1) => "host unreachable",
        (4, 3, 2) => "protocol unreachable",
        (4, 3, 3) => "port unreachable",
        (4, 3, 4) => "need to frag",
        (4, 3, 9 | 10 | 13) => "admin prohibited",
        (4, 11, _) | (6, 3, _) => "time exceeded",
        (6, 1, 0) => "no route",
        (6, 1, 1) => "prohibited",
        (6, 1, 3) => "address unreachable",
        (6, 1, 4) => "port unreachable",
        (6, 2, _) => "packet too big",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        for (count, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (99_949, "99.9k"),
            (123_456, "123k"),
            (9_999_499, "9999k"),
            (12_345_678, "12.3M"),
            (u64::MAX, "18447P"),
        ] {
            assert_eq!(short(count), text);
        }
    }

    #[test]
    fn times_are_short() {
        let now = "2026-01-01T00:00:00Z".parse().ok();
        for (time, text) in [
            ("2025-12-31T23:59:59.5Z", "0s"),
            ("2025-12-31T23:58:01Z", "119s"),
            ("2025-12-31T23:58:00Z", "2min"),
            ("2025-12-31T22:00:00Z", "2h"),
            ("2025-12-25T00:00:00Z", "7d"),
            ("2026-01-01T00:00:07Z", "0s"),
            ("", "-"),
        ] {
            assert_eq!(ago(time, now), text);
        }
        assert_eq!(rtt(Some(0.000_042)), "42µs");
        assert_eq!(rtt(Some(0.001)), "1.0ms");
        assert_eq!(rtt(Some(0.25)), "250ms");
        assert_eq!(rtt(Some(31.2)), "31s");
        assert_eq!(rtt(None), "-");
    }
}
