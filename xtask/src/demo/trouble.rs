//! Counts of trouble on the wire, from two sources that must agree: the daemon's metrics, and
//! tshark reading the segments.

use std::{collections::BTreeMap, fmt, ops::AddAssign, path::PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::expectation::Count;
use crate::lab::{Metrics, readers};

/// What went wrong on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// SYNs sent again.
    pub syn_retransmissions: u64,
    /// SYN-ACKs sent again.
    pub syn_ack_retransmissions: u64,
    /// Other segments sent again, those out of order included: which of them is which is a matter
    /// of milliseconds.
    pub data_retransmissions: u64,
    /// Resets.
    pub resets: u64,
    /// Segments that close the receive window.
    pub zero_windows: u64,
    /// ICMP and ICMPv6 destination unreachable, by `type/code`, as in `3/3`; those of ICMPv6
    /// begin with `v6 `. Only those that came.
    pub unreachables: BTreeMap<String, u64>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { syn_retransmissions, resets, zero_windows, .. } = self;
        let (syn_acks, data) = (self.syn_ack_retransmissions, self.data_retransmissions);
        write!(f, "{syn_retransmissions} SYN, {syn_acks} SYN-ACK and {data} data retransmissions")?;
        write!(f, ", {resets} RSTs, {zero_windows} zero windows")?;
        let mut unreachables = self.unreachables.iter();
        unreachables.try_for_each(|(message, count)| write!(f, ", {count} ICMP {message}"))
    }
}

impl AddAssign<&Self> for Trouble {
    fn add_assign(&mut self, other: &Self) {
        self.syn_retransmissions += other.syn_retransmissions;
        self.syn_ack_retransmissions += other.syn_ack_retransmissions;
        self.data_retransmissions += other.data_retransmissions;
        self.resets += other.resets;
        self.zero_windows += other.zero_windows;
        for (message, count) in &other.unreachables {
            *self.unreachables.entry(message.clone()).or_default() += count;
        }
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
        let retransmissions =
            |class| added.count("capture_tcp_retransmissions_total", &[("class", class)]);
        let data = ["retransmission", "fast", "spurious"].map(retransmissions);
        Self {
            syn_retransmissions: retransmissions("syn"),
            syn_ack_retransmissions: retransmissions("syn_ack"),
            data_retransmissions: data.iter().sum::<u64>()
                + added.count("capture_tcp_out_of_order_total", &[]),
            resets: added.count("capture_tcp_resets_total", &[]),
            zero_windows: added.count("capture_tcp_zero_windows_total", &[]),
            unreachables,
        }
    }

    /// How much of it there is.
    #[must_use]
    pub fn count(&self, count: Count) -> u64 {
        match count {
            Count::SynAgain => self.syn_retransmissions,
            Count::SynAckAgain => self.syn_ack_retransmissions,
            Count::DataAgain => self.data_retransmissions,
            Count::Reset => self.resets,
            Count::ZeroWindow => self.zero_windows,
            Count::Unreachable(message) => self.unreachables.get(message).copied().unwrap_or(0),
        }
    }

    fn add_row(&mut self, row: &Row) {
        for ((version, kind), at) in UNREACHABLE.into_iter().zip([ICMP, ICMPV6]) {
            if row.field(at) == kind {
                let message = message(version, kind, row.field(at + 1));
                *self.unreachables.entry(message).or_default() += 1;
            }
        }
        if row.is_icmp() {
            // The TCP fields are those of the quoted segment.
            return;
        }
        let (syn, ack) = (row.is_set(SYN), row.is_set(ACK));
        self.resets += u64::from(row.is_set(RESET));
        self.zero_windows += u64::from(!row.field(ZERO_WINDOW).is_empty());
        if AGAIN.iter().any(|at| !row.field(*at).is_empty()) {
            match (syn, ack) {
                (true, false) => self.syn_retransmissions += 1,
                (true, true) => self.syn_ack_retransmissions += 1,
                (false, _) => self.data_retransmissions += 1,
            }
        }
    }
}

const FIELDS: [&str; 17] = [
    "frame.time_epoch",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
    "tcp.flags.syn",
    "tcp.flags.ack",
    "tcp.flags.reset",
    "tcp.analysis.zero_window",
    "tcp.analysis.retransmission",
    "tcp.analysis.fast_retransmission",
    "tcp.analysis.spurious_retransmission",
    "tcp.analysis.out_of_order",
];
const TIME: usize = 0;
/// In an ICMP error these are the ports of the quoted packet.
const PORTS: [usize; 4] = [1, 2, 3, 4];
const ICMP: usize = 5;
const ICMPV6: usize = 7;
const SYN: usize = 9;
const ACK: usize = 10;
const RESET: usize = 11;
const ZERO_WINDOW: usize = 12;
const AGAIN: [usize; 4] = [13, 14, 15, 16];

/// What tshark, with its default preferences, finds in segments.
pub struct Frames(Vec<Row>);

/// [`FIELDS`] of a frame.
struct Row(Vec<String>);

impl Frames {
    /// Reads the segments.
    ///
    /// # Errors
    /// tshark failed or complained.
    pub fn read(segments: &[PathBuf]) -> Result<Self> {
        let rows = readers::tshark(segments, "tcp || udp", &FIELDS)?;
        Ok(Self(rows.into_iter().map(Row).collect()))
    }

    /// The number of frames of a server's port, ICMP errors about them included, up to a point in
    /// time, and the trouble among them.
    #[must_use]
    pub fn of_port(&self, port: u16, until: Timestamp) -> (u64, Trouble) {
        let (port, until) = (port.to_string(), until.as_duration().as_secs_f64());
        let is_meant =
            |row: &&Row| row.time() < until && PORTS.iter().any(|at| row.field(*at) == port);
        let mut trouble = Trouble::default();
        let mut frames = 0;
        for row in self.0.iter().filter(is_meant) {
            frames += 1;
            trouble.add_row(row);
        }
        (frames, trouble)
    }
}

impl Row {
    fn field(&self, number: usize) -> &str {
        self.0.get(number).map_or("", String::as_str)
    }

    fn time(&self) -> f64 {
        self.field(TIME).parse().unwrap_or(0.0)
    }

    fn is_set(&self, flag: usize) -> bool {
        matches!(self.field(flag), "1" | "True")
    }

    fn is_icmp(&self) -> bool {
        !self.field(ICMP).is_empty() || !self.field(ICMPV6).is_empty()
    }
}

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
capture_tcp_retransmissions_total{interface="gw0",class="retransmission"} 10
capture_tcp_retransmissions_total{interface="gw1",class="fast"} 20
capture_tcp_retransmissions_total{interface="gw1",class="spurious"} 40
capture_tcp_out_of_order_total{interface="gw1"} 80
capture_tcp_resets_total{interface="gw0"} 6
capture_tcp_resets_total{interface="gw1"} 1
capture_tcp_zero_windows_total{interface="gw1"} 8
"#;
        let trouble = Trouble::of_metrics(&Metrics::parse(text).unwrap());
        let expected = Trouble {
            syn_retransmissions: 3,
            syn_ack_retransmissions: 9,
            data_retransmissions: 150,
            resets: 7,
            zero_windows: 8,
            unreachables: [("3/3".to_owned(), 3), ("v6 1/4".to_owned(), 4)].into(),
        };
        assert_eq!(trouble, expected);
        assert_eq!(trouble.count(Count::Unreachable("3/3")), 3);
        assert_eq!(trouble.count(Count::Unreachable("3/1")), 0);
        let mut twice = trouble.clone();
        twice += &trouble;
        assert_eq!(twice.count(Count::DataAgain), 300);
        assert_eq!(twice.count(Count::Unreachable("v6 1/4")), 8);
    }

    /// A row for each text: time, ports, and then values by the names of their fields.
    fn frames(rows: &[&str]) -> Frames {
        let row = |text: &&str| {
            let mut row = vec![String::new(); FIELDS.len()];
            for word in text.split_whitespace() {
                let (name, value) = word.split_once('=').unwrap();
                let at = FIELDS.iter().position(|field| *field == name).expect(name);
                row[at] = value.to_owned();
            }
            Row(row)
        };
        Frames(rows.iter().map(row).collect())
    }

    #[test]
    fn rows_of_tshark_are_counted() {
        let tcp = "frame.time_epoch=5.5 tcp.srcport=40000 tcp.dstport=8002";
        let again = "tcp.analysis.retransmission=1";
        let rows = [
            "tcp.flags.syn=1 tcp.flags.ack=0".to_owned(),
            format!("tcp.flags.syn=1 tcp.flags.ack=0 {again}"),
            format!("tcp.flags.syn=True tcp.flags.ack=False {again}"),
            format!("tcp.flags.syn=1 tcp.flags.ack=1 {again}"),
            format!("tcp.flags.ack=1 {again} tcp.analysis.fast_retransmission=1"),
            "tcp.flags.ack=1 tcp.analysis.out_of_order=1".to_owned(),
            "tcp.flags.ack=1 tcp.analysis.zero_window=1".to_owned(),
            "tcp.flags.ack=1 tcp.flags.reset=1".to_owned(),
            // What an ICMP error quotes is not sent again.
            format!("tcp.flags.syn=1 {again} icmp.type=3 icmp.code=3"),
            "tcp.flags.reset=1 icmpv6.type=1 icmpv6.code=4".to_owned(),
        ];
        let rows = rows.map(|row| format!("{tcp} {row}"));
        let frames = frames(&rows.each_ref().map(String::as_str));
        let expected = Trouble {
            syn_retransmissions: 2,
            syn_ack_retransmissions: 1,
            data_retransmissions: 2,
            resets: 1,
            zero_windows: 1,
            unreachables: [("3/3".to_owned(), 1), ("v6 1/4".to_owned(), 1)].into(),
        };
        assert_eq!(frames.of_port(8002, Timestamp::from_second(6).unwrap()), (10, expected));
    }

    #[test]
    fn frames_of_other_ports_and_later_ones_are_left_out() {
        let frames = frames(&[
            "frame.time_epoch=5.5 tcp.srcport=8002 tcp.dstport=40000 tcp.flags.reset=1",
            "frame.time_epoch=5.5 udp.srcport=40000 udp.dstport=8002 icmp.type=3 icmp.code=3",
            "frame.time_epoch=6.5 tcp.srcport=8002 tcp.dstport=40000 tcp.flags.reset=1",
            "frame.time_epoch=5.5 tcp.srcport=8003 tcp.dstport=40000 tcp.flags.reset=1",
        ]);
        let (number, trouble) = frames.of_port(8002, Timestamp::from_second(6).unwrap());
        assert_eq!((number, trouble.resets), (2, 1));
        assert_eq!(trouble.count(Count::Unreachable("3/3")), 1);
    }
}
