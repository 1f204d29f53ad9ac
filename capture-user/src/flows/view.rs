//! Conversations as JSON; `docs/api.md` describes the fields.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use capture_common::class::{Class, LossSide};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::{DirectionRecord, End, ErrorOrigin, FlowRecord, FlowState, IcmpRecord};

/// A word of the API: one of ours, or one that another version of the daemon says.
type Word = Cow<'static, str>;

/// The answer of `/v1/flows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowsView {
    /// When it was given, RFC 3339 in UTC.
    pub time: String,
    /// The order.
    pub sort: Word,
    /// How many conversations match.
    pub matched: u64,
    /// The first of them.
    pub flows: Vec<FlowView>,
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowView {
    /// Name of the IP protocol, or its number where it has no short name.
    pub protocol: Word,
    /// Identifier of the tunnel (`capture_common::flow::tunnel`), if it is in one.
    pub tunnel: Option<u32>,
    /// The end that asked.
    pub client: EndpointView,
    /// The end that was asked.
    pub server: EndpointView,
    /// Name of a [`FlowState`].
    pub state: Word,
    /// Gateway to client and back, in seconds: from the SYN-ACK to the ACK.
    pub client_rtt_seconds: Option<f64>,
    /// Gateway to server and back, in seconds: from the SYN to the SYN-ACK.
    pub server_rtt_seconds: Option<f64>,
    /// Of the first packet, RFC 3339 in UTC.
    pub first_seen: String,
    /// Of the last packet, or the last ICMP error about it.
    pub last_seen: String,
    /// When something went wrong first.
    pub first_trouble: Option<String>,
    /// When something went wrong last.
    pub last_trouble: Option<String>,
    /// ICMP errors about it.
    pub icmp: Option<IcmpView>,
    /// What the client sent.
    pub from_client: DirectionView,
    /// What the server sent.
    pub from_server: DirectionView,
}

/// An end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 for protocols without.
    pub port: u16,
}

/// The ICMP errors about a conversation: the last one, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpView {
    /// Address of its sender.
    pub sender: IpAddr,
    /// What the sender is: `client`, `server` or `hop`.
    pub origin: Word,
    /// Who sent the packet that the error is about: `client` or `server`.
    pub about: Word,
    /// 4 for ICMP, 6 for ICMPv6.
    pub ip_version: u8,
    /// Type.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The MTU that it states, in bytes.
    pub mtu: Option<u16>,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// How many there were.
    pub count: u32,
    /// How many were seen leaving this host.
    pub left: u32,
    /// When the last one passed, RFC 3339 in UTC.
    pub last_seen: String,
}

/// What an end sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectionView {
    /// Frames on the wire: TCP segments.
    pub packets: u64,
    /// Bytes of all frames, Ethernet header included.
    pub bytes: u64,
    /// Bytes of payload by sequence numbers; a SYN and a FIN count as one each.
    pub sent: u32,
    /// How many of these the other end has acknowledged.
    pub acknowledged: u32,
    /// Of all kinds, SYN and SYN-ACK included.
    pub retransmissions: u64,
    /// Of segments that had been lost between their sender and the gateway.
    pub retransmissions_upstream: u64,
    /// Of segments that had been lost between the gateway and their receiver, or whose ACK had been.
    pub retransmissions_downstream: u64,
    /// Of segments of which nobody can tell from here.
    pub retransmissions_unknown: u64,
    /// How often each class was met.
    pub classes: ClassCounts,
    /// SYNs or SYN-ACKs that came.
    pub syns: u64,
    /// SYNs or SYN-ACKs that were seen leaving this host.
    pub syns_left: u64,
    /// The most often that one and the same segment was sent again in a row.
    pub most_resent: u16,
    /// Payload of that segment in bytes.
    pub most_resent_bytes: u16,
    /// Longest time that it took to answer the other end's data.
    pub slowest_answer_seconds: Option<f64>,
    /// Time to live or hop limit of its last segment that was no RST.
    pub ttl: Option<u8>,
    /// Time to live or hop limit of its last RST.
    pub reset_ttl: Option<u8>,
    /// Has it sent a FIN?
    pub finished: bool,
    /// Has it sent a RST?
    pub reset: bool,
    /// Is its receive window closed now?
    pub window_closed: bool,
}

impl From<&FlowRecord> for FlowView {
    fn from(flow: &FlowRecord) -> Self {
        let (first_trouble, last_trouble) = flow.trouble.unzip();
        Self {
            protocol: protocol_name(flow.protocol),
            tunnel: (flow.tunnel != 0).then_some(flow.tunnel),
            client: flow.client.into(),
            server: flow.server.into(),
            state: state_name(flow.state).into(),
            client_rtt_seconds: flow.client_rtt.map(|time| time.as_secs_f64()),
            server_rtt_seconds: flow.server_rtt.map(|time| time.as_secs_f64()),
            first_seen: time_text(flow.first),
            last_seen: time_text(flow.last),
            first_trouble: first_trouble.map(time_text),
            last_trouble: last_trouble.map(time_text),
            icmp: flow.icmp.as_ref().map(IcmpView::from),
            from_client: (&flow.from_client).into(),
            from_server: (&flow.from_server).into(),
        }
    }
}

impl From<SocketAddr> for EndpointView {
    fn from(end: SocketAddr) -> Self {
        Self { address: end.ip(), port: end.port() }
    }
}

impl From<&IcmpRecord> for IcmpView {
    fn from(icmp: &IcmpRecord) -> Self {
        let origin = match icmp.origin {
            ErrorOrigin::Client => "client",
            ErrorOrigin::Server => "server",
            ErrorOrigin::Hop => "hop",
        };
        let about = match icmp.about {
            End::Client => "client",
            End::Server => "server",
        };
        Self {
            sender: icmp.sender,
            origin: origin.into(),
            about: about.into(),
            ip_version: icmp.ip_version,
            kind: icmp.kind,
            code: icmp.code,
            mtu: (icmp.mtu != 0).then_some(icmp.mtu),
            ttl: icmp.ttl,
            count: icmp.count,
            left: icmp.left,
            last_seen: time_text(icmp.time),
        }
    }
}

impl From<&DirectionRecord> for DirectionView {
    fn from(direction: &DirectionRecord) -> Self {
        let (most_resent, most_resent_bytes) = direction.most_resent();
        let slowest = direction.slowest_answer();
        Self {
            packets: direction.packets(),
            bytes: direction.bytes(),
            sent: direction.sent(),
            acknowledged: direction.acknowledged(),
            retransmissions: direction.retransmissions(),
            retransmissions_upstream: direction.lost(LossSide::Upstream),
            retransmissions_downstream: direction.lost(LossSide::Downstream),
            retransmissions_unknown: direction.lost(LossSide::Unknown),
            classes: ClassCounts(Class::ALL.map(|class| direction.count(class))),
            syns: direction.syns(),
            syns_left: direction.syns_left(),
            most_resent,
            most_resent_bytes,
            slowest_answer_seconds: (slowest != Duration::ZERO).then_some(slowest.as_secs_f64()),
            ttl: direction.ttl(),
            reset_ttl: direction.reset_ttl(),
            finished: direction.is_finished(),
            reset: direction.has_reset(),
            window_closed: direction.is_window_closed(),
        }
    }
}

/// How often each [`Class`] was met: an object with all names of [`class_name`]. Names that are not
/// known are passed over when one is read, and those that are missing are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts(pub [u64; Class::COUNT]);

impl ClassCounts {
    /// Of one class.
    #[must_use]
    pub fn get(&self, class: Class) -> u64 {
        self.0[class as usize]
    }
}

impl Serialize for ClassCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Class::ALL.map(|class| (class_name(class), self.get(class))))
    }
}

impl<'de> Deserialize<'de> for ClassCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts: BTreeMap<Cow<'de, str>, u64> = BTreeMap::deserialize(deserializer)?;
        let count = |class| counts.get(class_name(class)).copied().unwrap_or(0);
        Ok(Self(Class::ALL.map(count)))
    }
}

/// The name of a class in the API. These stay.
#[must_use]
pub const fn class_name(class: Class) -> &'static str {
    match class {
        Class::SynRetransmission => "syn_retransmission",
        Class::SynAckRetransmission => "syn_ack_retransmission",
        Class::Retransmission => "retransmission",
        Class::FastRetransmission => "fast_retransmission",
        Class::SpuriousRetransmission => "spurious_retransmission",
        Class::OutOfOrder => "out_of_order",
        Class::DuplicateAck => "duplicate_ack",
        Class::LostSegment => "lost_segment",
        Class::KeepAlive => "keep_alive",
        Class::KeepAliveAck => "keep_alive_ack",
        Class::ZeroWindow => "zero_window",
        Class::ZeroWindowProbe => "zero_window_probe",
        Class::ZeroWindowProbeAck => "zero_window_probe_ack",
        Class::WindowUpdate => "window_update",
        Class::Reset => "reset",
    }
}

const fn state_name(state: FlowState) -> &'static str {
    match state {
        FlowState::Unanswered => "unanswered",
        FlowState::Refused => "refused",
        FlowState::HalfOpen => "half_open",
        FlowState::Established => "established",
        FlowState::MidStream => "mid_stream",
        FlowState::Finished => "finished",
        FlowState::Reset => "reset",
        FlowState::Quoted => "quoted",
    }
}

/// By IANA's "Assigned Internet Protocol Numbers".
fn protocol_name(number: u8) -> Word {
    let name = match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        47 => "gre",
        50 => "esp",
        58 => "icmpv6",
        132 => "sctp",
        other => return other.to_string().into(),
    };
    name.into()
}

/// Nanoseconds since 1970 as RFC 3339 in UTC, with nine digits of the second's fraction, so that
/// texts order as times do.
#[must_use]
pub fn time_text(nanoseconds: i64) -> String {
    match jiff::Timestamp::from_nanosecond(nanoseconds.into()) {
        Ok(time) => format!("{time:.9}"),
        // All times that fit 64 bits lie between the years 1677 and 2262.
        Err(_) => String::new(),
    }
}
