//! What the programs count, per CPU, interface and direction.

use super::Direction;
use crate::{
    class::{Class, LossSide},
    icmp,
    reason::Reason,
};

/// Where the programs can lose a matched frame. The discriminants index
/// [`Counters::lost_frames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum KernelLoss {
    /// The ring buffer of tap mode had no room.
    RingFull = 0,
    /// No AF_XDP socket stood ready for the queue (daemon starting, stopping or dead).
    NoSocket = 1,
    /// The driver left no room for the header in front of the frame.
    NoMetadata = 2,
    /// The bytes of the frame could not be copied.
    CopyFailed = 3,
}

impl KernelLoss {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] =
        [Self::RingFull, Self::NoSocket, Self::NoMetadata, Self::CopyFailed];

    /// The value of the Prometheus label `stage`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::NoSocket => "no_socket",
            Self::NoMetadata => "no_metadata",
            Self::CopyFailed => "copy_failed",
        }
    }
}

/// Value of the map [`COUNTERS`](super::names::COUNTERS).
///
/// The ledger of the kernel side is exact per CPU: `received = unmatched + matched` and
/// `matched = delivered + Σ lost`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Frames seen; at egress a super-packet counts as its `gso_segs` segments.
    pub received_frames: u64,
    /// Bytes of these frames, Ethernet header included, frame check sequence not. For
    /// super-packets the bytes of the one big frame.
    pub received_bytes: u64,
    /// Frames (super-packets count once here: one is what is captured) that the filter let
    /// through, on interfaces that capture.
    pub matched_frames: u64,
    /// Matched frames that were put into the ring buffer or redirected to a socket.
    pub delivered_frames: u64,
    /// Matched frames lost in the kernel programs, indexed by [`KernelLoss`].
    pub lost_frames: [u64; KernelLoss::COUNT],
    /// Frames whose parsing ended early, indexed by [`Reason`].
    pub unparsed_frames: [u64; Reason::COUNT],
    /// TCP trouble, first index 0 for IPv4 and 1 for IPv6, second a [`Class`].
    pub tcp: [[u64; Class::COUNT]; 2],
    /// TCP retransmissions by where the segment had been lost, first index as in `tcp`, second a
    /// [`LossSide`].
    pub tcp_lost: [[u64; LossSide::COUNT]; 2],
    /// Conversations that were new to the flow table, of both IP versions.
    pub flows_created: u64,
    /// SYNs and SYN-ACKs that left without a conversation of theirs being known: this host translates
    /// addresses, or the flow table is too small.
    pub syns_left_unknown: u64,
    /// ICMP and ICMPv6 messages, indexed by [`icmp::index`].
    pub icmp: [u64; icmp::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Counters {
    /// All zero.
    pub const ZERO: Self = Self {
        received_frames: 0,
        received_bytes: 0,
        matched_frames: 0,
        delivered_frames: 0,
        lost_frames: [0; KernelLoss::COUNT],
        unparsed_frames: [0; Reason::COUNT],
        tcp: [[0; Class::COUNT]; 2],
        tcp_lost: [[0; LossSide::COUNT]; 2],
        flows_created: 0,
        syns_left_unknown: 0,
        icmp: [0; icmp::COUNT],
    };

    /// Adds the values of another CPU; wraps like the kernel's own counters.
    pub fn add(&mut self, other: &Self) {
        fn all(to: &mut [u64], from: &[u64]) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = to.wrapping_add(*from);
            }
        }
        self.received_frames = self.received_frames.wrapping_add(other.received_frames);
        self.received_bytes = self.received_bytes.wrapping_add(other.received_bytes);
        self.matched_frames = self.matched_frames.wrapping_add(other.matched_frames);
        self.delivered_frames = self.delivered_frames.wrapping_add(other.delivered_frames);
        all(&mut self.lost_frames, &other.lost_frames);
        all(&mut self.unparsed_frames, &other.unparsed_frames);
        for (to, from) in self.tcp.iter_mut().zip(&other.tcp) {
            all(to, from);
        }
        for (to, from) in self.tcp_lost.iter_mut().zip(&other.tcp_lost) {
            all(to, from);
        }
        self.flows_created = self.flows_created.wrapping_add(other.flows_created);
        self.syns_left_unknown = self.syns_left_unknown.wrapping_add(other.syns_left_unknown);
        all(&mut self.icmp, &other.icmp);
    }
}

/// Index of the counters of an interface and direction in the map
/// [`COUNTERS`](super::names::COUNTERS).
#[must_use]
pub const fn counters_index(slot: u32, direction: Direction) -> u32 {
    slot * 2 + direction as u32
}

#[cfg(feature = "user")]
// SAFETY: repr(C) of u64 only, so there is no padding and every bit pattern is valid.
unsafe impl aya::Pod for Counters {}
