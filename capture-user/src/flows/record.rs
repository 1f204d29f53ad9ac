//! One conversation, made of the kernel's two entries of it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use capture_common::{
    class::{Class, LossSide},
    flow::{DirectionState, DirectionTrouble},
};

/// Turns the kernel's monotonic times into wall clock time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBase {
    /// Nanoseconds from the monotonic clock's zero to 1970.
    pub offset: i64,
}

impl TimeBase {
    /// Nanoseconds since 1970; `None` for 0, which stands for "never".
    #[must_use]
    pub fn unix(self, monotonic: u64) -> Option<i64> {
        (monotonic != 0)
            .then(|| i64::try_from(monotonic).unwrap_or(i64::MAX).saturating_add(self.offset))
    }
}

/// One of the two ends of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The one that asked.
    Client,
    /// The one that was asked.
    Server,
}

impl End {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// SYNs, and nothing from the server but perhaps an ICMP error.
    Unanswered,
    /// The server's first answer was a RST.
    Refused,
    /// SYN and SYN-ACK, but the client's ACK has not been seen.
    HalfOpen,
    /// Open, seen from its start.
    Established,
    /// Open, but its start was not seen.
    MidStream,
    /// One or both ends have sent a FIN.
    Finished,
    /// Reset after it was open.
    Reset,
    /// Known only by what went wrong: by the ICMP errors about it, as what is not TCP is, or because
    /// the table has no entry of it any more.
    Quoted,
}

/// Who sent an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorOrigin {
    /// The client's address.
    Client,
    /// The server's address.
    Server,
    /// Neither: a hop on the way.
    Hop,
}

/// The ICMP errors about a conversation: the last one, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpRecord {
    /// Its sender's address.
    pub sender: IpAddr,
    /// What the sender is to the conversation.
    pub origin: ErrorOrigin,
    /// Who sent the packet that the error is about.
    pub about: End,
    /// 4 for ICMP, 6 for ICMPv6.
    pub ip_version: u8,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The MTU it states, in bytes; 0 if it states none.
    pub mtu: u16,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// How many there were.
    pub count: u32,
    /// How many were seen leaving this host.
    pub left: u32,
    /// When the last one passed, nanoseconds since 1970.
    pub time: i64,
}

/// What one end sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionRecord {
    pub(super) state: DirectionState,
    pub(super) trouble: DirectionTrouble,
    pub(super) acknowledged: u32,
    pub(super) base: TimeBase,
}

impl DirectionRecord {
    /// Frames on the wire.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.state.packets.into()
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.bytes
    }

    /// How often a class was met.
    #[must_use]
    pub fn count(&self, class: Class) -> u64 {
        match class {
            Class::KeepAlive => self.state.keep_alives.into(),
            Class::KeepAliveAck => self.state.keep_alive_acks.into(),
            Class::WindowUpdate => self.state.window_updates.into(),
            class => self.trouble.count(class).into(),
        }
    }

    /// All retransmissions, SYN and SYN-ACK included.
    #[must_use]
    pub fn retransmissions(&self) -> u64 {
        Class::ALL
            .into_iter()
            .filter(|class| class.retransmission_label().is_some())
            .map(|class| self.count(class))
            .sum()
    }

    /// Retransmissions of segments that had been lost on this side of this host.
    #[must_use]
    pub fn lost(&self, side: LossSide) -> u64 {
        self.trouble.sides[side as usize].into()
    }

    /// SYNs or SYN-ACKs that came.
    #[must_use]
    pub fn syns(&self) -> u64 {
        self.state.syns.into()
    }

    /// SYNs or SYN-ACKs that were seen leaving this host.
    #[must_use]
    pub fn syns_left(&self) -> u64 {
        self.state.syns_left.into()
    }

    /// Time to live of its segments, RSTs aside; `None` if there were none.
    #[must_use]
    pub fn ttl(&self) -> Option<u8> {
        (self.state.ttl != 0).then_some(self.state.ttl)
    }

    /// Time to live of its last RST.
    #[must_use]
    pub fn reset_ttl(&self) -> Option<u8> {
        (self.trouble.reset_ttl != 0).then_some(self.trouble.reset_ttl)
    }

    /// Has it sent a RST?
    #[must_use]
    pub fn has_reset(&self) -> bool {
        self.state.has_reset()
    }

    /// Has it sent a FIN?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    /// Is its receive window closed now? That of a RST, mostly 0, says nothing (rule 3 of
    /// `docs/tcp-analysis.md`).
    #[must_use]
    pub fn is_window_closed(&self) -> bool {
        self.state.last_window() == Some(0) && !self.has_reset()
    }

    /// Bytes of payload sent, as far as sequence numbers tell; a SYN and a FIN count as one each.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.state.sent()
    }

    /// How many of these the other end has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// Longest time that it took to answer the other end's data.
    #[must_use]
    pub fn slowest_answer(&self) -> Duration {
        Duration::from_micros(self.state.slowest_answer.into())
    }

    /// The most often that one and the same segment was sent again in a row, and its payload in
    /// bytes.
    #[must_use]
    pub fn most_resent(&self) -> (u16, u16) {
        (self.trouble.most_resent, self.trouble.most_resent_length)
    }

    /// When its last segment passed, nanoseconds since 1970.
    #[must_use]
    pub fn last_packet(&self) -> Option<i64> {
        self.base.unix(self.state.last_time)
    }

    /// When its highest sequence number last rose (by data, SYN or FIN that was no retransmission),
    /// nanoseconds since 1970.
    #[must_use]
    pub fn last_rise(&self) -> Option<i64> {
        self.base.unix(self.state.next_time)
    }

    /// Kernel's index of the interface that sees this direction come in, or for what this host sends
    /// itself leave; 0 for none yet.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.state.ifindex
    }

    /// When its last new data passed, in nanoseconds of the monotonic clock; 0 for never.
    #[must_use]
    pub fn last_new_data(&self) -> u64 {
        self.state.next_time
    }
}

/// A conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// IP protocol number.
    pub protocol: u8,
    /// Identifier of the tunnel; 0 outside of tunnels.
    pub tunnel: u32,
    /// The end that asked: the sender of the SYN, or else that with the higher port.
    pub client: SocketAddr,
    /// The end that was asked.
    pub server: SocketAddr,
    /// How far it has come.
    pub state: FlowState,
    /// What the client sent.
    pub from_client: DirectionRecord,
    /// What the server sent.
    pub from_server: DirectionRecord,
    /// Time of the handshake between this host and the server: from SYN to SYN-ACK.
    pub server_rtt: Option<Duration>,
    /// Time of the handshake between this host and the client: from SYN-ACK to ACK.
    pub client_rtt: Option<Duration>,
    /// When the first packet passed, nanoseconds since 1970.
    pub first: i64,
    /// When the last packet passed, or the last ICMP error about it.
    pub last: i64,
    /// When trouble was first and last seen.
    pub trouble: Option<(i64, i64)>,
    /// ICMP errors about it.
    pub icmp: Option<IcmpRecord>,
}

impl FlowRecord {
    /// What an end sent.
    #[must_use]
    pub fn from(&self, end: End) -> &DirectionRecord {
        match end {
            End::Client => &self.from_client,
            End::Server => &self.from_server,
        }
    }

    /// Is it TCP?
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.protocol == 6
    }
}
