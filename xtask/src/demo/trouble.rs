//! Counts of trouble on the wire, from two sources that must agree: the daemon's metrics, and
//! tshark reading the segments.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::lab::{Metrics, readers};

/// What went wrong on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// SYNs sent again.
    pub syn_retransmissions: u64,
    /// Resets.
    pub resets: u64,
    /// ICMP and ICMPv6 destination unreachable, by `type/code`, as in `3/3`; those of ICMPv6
    /// begin with `v6 `. Only those that came.
    pub unreachables: BTreeMap<String, u64>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { syn_retransmissions, resets, unreachables } = self;
        write!(f, "{syn_retransmissions} SYN retransmissions, {resets} RSTs")?;
        let mut unreachables = unreachables.iter();
        unreachables.try_for_each(|(message, count)| write!(f, ", {count} ICMP {message}"))
    }
}

/// Type of destination unreachable by IP version.
const UNREACHABLE: [(&str, &str); 2] = [("4", "3"), ("6", "1")];

impl Trouble {
    /// What the daemon counted, from the difference of two scrapes.
    #[must_use]
    pub fn of_metrics(added: &Metrics) -> Self {
        let mut unreachables = BTreeMap::new();
        for (version, kind) in UNREACHABLE {
            let labels = [("ip_version", version), ("type", kind)];
            for (series, value) in added.select("capture_icmp_messages_total", &labels) {
                let code = series.labels.get("code").map_or("?", String::as_str);
                if value > 0.0 {
                    *unreachables.entry(message(version, kind, code)).or_default() += value as u64;
                }
            }
        }
        let retransmissions = "capture_tcp_retransmissions_total";
        Self {
            syn_retransmissions: added.count(retransmissions, &[("class", "syn")]),
            resets: added.count("capture_tcp_resets_total", &[]),
            unreachables,
        }
    }

    /// What tshark, with its default preferences, finds of a server port in segments up to a
    /// point in time.
    ///
    /// # Errors
    /// tshark failed or complained.
    pub fn of_segments(segments: &[PathBuf], port: u16, until: Timestamp) -> Result<Self> {
        // The port matches the quoted segment in an ICMP error too.
        let until = until.as_duration().as_secs_f64();
        let filter = format!("tcp.port == {port} && frame.time_epoch < {until:.6}");
        let rows = readers::tshark(segments, &filter, &FIELDS)?;
        let mut trouble = Self::default();
        rows.iter().for_each(|row| trouble.add_row(row));
        Ok(trouble)
    }

    /// ICMP messages "port unreachable" of both IP versions.
    #[must_use]
    pub fn port_unreachables(&self) -> u64 {
        ["3/3", "v6 1/4"].iter().filter_map(|message| self.unreachables.get(*message)).sum()
    }

    fn add_row(&mut self, row: &[String]) {
        let field = |number: usize| row.get(number).map_or("", String::as_str);
        for ((version, kind), at) in UNREACHABLE.into_iter().zip([ICMP, ICMPV6]) {
            if field(at) == kind {
                let message = message(version, kind, field(at + 1));
                *self.unreachables.entry(message).or_default() += 1;
            }
        }
        if !field(ICMP).is_empty() || !field(ICMPV6).is_empty() {
            // The TCP fields are those of the quoted segment.
            return;
        }
        let set = |number| matches!(field(number), "1" | "True");
        self.resets += u64::from(set(RESET));
        let again = !field(RETRANSMISSION).is_empty();
        self.syn_retransmissions += u64::from(again && set(SYN) && !set(ACK));
    }
}

const FIELDS: [&str; 8] = [
    "tcp.flags.syn",
    "tcp.flags.ack",
    "tcp.flags.reset",
    "tcp.analysis.retransmission",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
];
const SYN: usize = 0;
const ACK: usize = 1;
const RESET: usize = 2;
const RETRANSMISSION: usize = 3;
const ICMP: usize = 4;
const ICMPV6: usize = 6;

fn message(version: &str, kind: &str, code: &str) -> String {
    let prefix = if version == "6" { "v6 " } else { "" };
    format!("{prefix}{kind}/{code}")
}

/// Name of an ICMP message as in [`Trouble::unreachables`], for people.
#[must_use]
pub fn describe(message: &str) -> String {
    let name = match message {
        "3/0" | "v6 1/0" => "no route",
        "3/1" | "v6 1/3" => "host unreachable",
        "3/3" | "v6 1/4" => "port unreachable",
        "3/4" => "fragmentation needed",
        "3/9" | "3/10" | "3/13" | "v6 1/1" => "prohibited",
        _ => return message.to_owned(),
    };
    format!("{message} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_added_up_over_interfaces() {
        let text = r#"capture_icmp_messages_total{interface="gw0",ip_version="4",type="3",code="3"} 1
capture_icmp_messages_total{interface="gw1",ip_version="4",type="3",code="3"} 2
capture_icmp_messages_total{interface="gw1",ip_version="4",type="3",code="1"} 0
capture_icmp_messages_total{interface="gw1",ip_version="4",type="8",code="0"} 5
capture_icmp_messages_total{interface="gw1",ip_version="6",type="1",code="4"} 4
capture_tcp_retransmissions_total{interface="gw0",class="syn"} 3
capture_tcp_retransmissions_total{interface="gw0",class="syn_ack"} 9
capture_tcp_resets_total{interface="gw0"} 6
capture_tcp_resets_total{interface="gw1"} 1
"#;
        let trouble = Trouble::of_metrics(&Metrics::parse(text).unwrap());
        let unreachables = [("3/3".to_owned(), 3), ("v6 1/4".to_owned(), 4)].into();
        assert_eq!(trouble, Trouble { syn_retransmissions: 3, resets: 7, unreachables });
        assert_eq!(trouble.port_unreachables(), 7);
    }

    #[test]
    fn rows_of_tshark_are_counted() {
        let rows = [
            ["1", "0", "0", "", "", "", "", ""],
            ["1", "0", "0", "1", "", "", "", ""],
            ["True", "False", "False", "True", "", "", "", ""],
            ["1", "1", "0", "1", "", "", "", ""],
            ["0", "1", "1", "", "", "", "", ""],
            ["1", "0", "1", "", "3", "3", "", ""],
            ["1", "0", "0", "", "", "", "1", "4"],
        ];
        let mut trouble = Trouble::default();
        for row in rows {
            trouble.add_row(&row.map(str::to_owned));
        }
        let unreachables = [("3/3".to_owned(), 1), ("v6 1/4".to_owned(), 1)].into();
        assert_eq!(trouble, Trouble { syn_retransmissions: 2, resets: 1, unreachables });
    }
}
