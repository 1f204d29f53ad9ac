//! What went wrong in a conversation: constant size, one map entry, and only for those conversations
//! in which something did, so that healthy ones pay nothing for it.

use super::{FlowKey, Seen, Segment, Side, Sight, tcp_flags};
use crate::{
    class::{Class, Classes, LossSide},
    parse::{Packet, depth, has_ports, layers, recall},
};

/// Holes that are remembered of a direction.
const HOLES: usize = 2;

/// Bits of [`DirectionTrouble::flags`].
mod trouble_flags {
    /// There were more holes than places for them: what is in none of them may have been in one.
    pub const FORGOT_HOLES: u8 = 1 << 0;
}

/// Key of the map [`TROUBLE`](crate::abi::names::TROUBLE).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TroubleKey {
    /// The endpoints and the tunnel.
    pub flow: FlowKey,
    /// IP protocol number: an ICMP error may be about any protocol.
    pub protocol: u32,
}

const _: () = assert!(size_of::<TroubleKey>() == 44);

/// A range of sequence numbers that were skipped and have not come yet; empty if both are the same.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hole {
    /// First.
    pub start: u32,
    /// Behind the last.
    pub end: u32,
}

/// Trouble with what one endpoint sent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionTrouble {
    /// How often, indexed by [`Class`]. Keep-alives and window updates are not counted here but in
    /// [`DirectionState`](super::DirectionState). Wrap.
    pub classes: [u32; Class::COUNT],
    /// Retransmissions by where the segment had been lost, indexed by [`LossSide`]. Wrap.
    pub sides: [u32; LossSide::COUNT],
    /// What has been skipped.
    holes: [Hole; HOLES],
    /// Sequence number of the last segment that was sent again.
    resent_sequence: u32,
    /// How often in a row that one was; stays at its maximum.
    resent_in_a_row: u16,
    /// The most often that any segment was sent again in a row.
    pub most_resent: u16,
    /// Bytes of payload of that segment, cut to 65,535.
    pub most_resent_length: u16,
    /// Time to live or hop limit of the last RST; 0 for none.
    pub reset_ttl: u8,
    /// Bits of `trouble_flags`.
    flags: u8,
}

/// An ICMP or ICMPv6 error about the conversation: the last one, and how many.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IcmpError {
    /// Who sent it: an end of the conversation, or a hop between them.
    pub sender: [u8; 16],
    /// When it passed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// How many errors there were. Wraps.
    pub count: u32,
    /// How many were seen leaving this host, those that it made itself included. Wraps.
    pub left: u32,
    /// Largest packet that the next link takes, in bytes, for "fragmentation needed" and "packet too
    /// big", cut to 65,535; 0 for other errors.
    pub mtu: u16,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// 4 for ICMP, 6 for ICMPv6; 0 for no error yet.
    pub ip_version: u8,
    /// 0 if the quoted packet was sent by the lower endpoint of the key, 1 for the higher one.
    pub quoted_side: u8,
    /// Time to live or hop limit of the message.
    pub ttl: u8,
    /// Zero.
    pub padding: u8,
}

/// Value of the map [`TROUBLE`](crate::abi::names::TROUBLE).
///
/// As with [`Conversation`](super::Conversation), two CPUs may work on it at once. Each writes its own
/// direction, and both write times that are almost the same; a race can cost one count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// With what the lower endpoint of the key sent.
    pub low: DirectionTrouble,
    /// With what the higher endpoint sent.
    pub high: DirectionTrouble,
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first_time: u64,
    /// When it was last seen.
    pub last_time: u64,
    /// ICMP and ICMPv6 errors.
    pub icmp: IcmpError,
}

const _: () = assert!(size_of::<DirectionTrouble>() == 100);
const _: () = assert!(size_of::<IcmpError>() == 40);
const _: () = assert!(size_of::<Trouble>() == 256);

impl TroubleKey {
    /// Becomes the key of the conversation that a packet belongs to, which for an ICMP error is the
    /// one that it quotes; returns which endpoint sent the packet, or the quoted one. `None` if it
    /// belongs to none: its transport header was not reached, or its protocol has no ports. The key
    /// may then be of no conversation at all.
    #[inline(always)]
    pub fn set(&mut self, packet: &Packet) -> Option<Side> {
        if packet.depth != depth::TRANSPORT {
            return None;
        }
        if packet.has(layers::QUOTE) {
            return self.set_quoted(packet);
        }
        if !has_ports(packet.protocol) {
            return None;
        }
        self.protocol = u32::from(packet.protocol);
        Some(self.flow.set(packet))
    }

    /// Becomes the key of the conversation that an ICMP error quotes; see [`FlowKey::set_quoted`].
    #[inline(always)]
    pub fn set_quoted(&mut self, packet: &Packet) -> Option<Side> {
        self.protocol = u32::from(packet.quote.protocol);
        self.flow.set_quoted(packet)
    }
}

impl Trouble {
    /// Nothing yet.
    pub const NEW: Self = Self {
        low: DirectionTrouble::NEW,
        high: DirectionTrouble::NEW,
        first_time: 0,
        last_time: 0,
        icmp: IcmpError::NONE,
    };

    /// Takes note of a troubled segment sent by `side`, of what
    /// [`Conversation::observe`](super::Conversation::observe) saw in it. Adds to the classes where a
    /// retransmission had been lost.
    #[inline(always)]
    pub fn observe(&mut self, side: Side, segment: &Segment, sight: &Sight, seen: &mut Seen) {
        self.note_time(sight.now);
        let forward = match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        };
        forward.observe(segment, sight.ttl, seen);
    }

    /// Takes note of an ICMP error with a quote, whose quoted packet was sent by `quoted_side`.
    #[inline(always)]
    pub fn icmp_error(&mut self, quoted_side: Side, message: &Packet, sight: &Sight) {
        self.note_time(sight.now);
        let icmp = &mut self.icmp;
        icmp.sender = message.source;
        icmp.time = sight.now;
        icmp.count = icmp.count.wrapping_add(1);
        icmp.left = icmp.left.wrapping_add(sight.leaves.into());
        icmp.mtu = message.quote.mtu;
        icmp.kind = message.icmp_type;
        icmp.code = message.icmp_code;
        icmp.ip_version = message.ip_version;
        icmp.quoted_side = quoted_side as u8;
        icmp.ttl = message.ttl;
    }

    /// Takes note that an ICMP error about the conversation left this host.
    #[inline(always)]
    pub fn icmp_left(&mut self) {
        self.icmp.left = self.icmp.left.wrapping_add(1);
    }

    #[inline(always)]
    fn note_time(&mut self, now: u64) {
        if self.first_time == 0 {
            self.first_time = now;
        }
        self.last_time = now;
    }
}

impl IcmpError {
    /// None yet.
    pub const NONE: Self = Self {
        sender: [0; 16],
        time: 0,
        count: 0,
        left: 0,
        mtu: 0,
        kind: 0,
        code: 0,
        ip_version: 0,
        quoted_side: 0,
        ttl: 0,
        padding: 0,
    };
}

impl DirectionTrouble {
    /// Nothing yet.
    pub const NEW: Self = Self {
        classes: [0; Class::COUNT],
        sides: [0; LossSide::COUNT],
        holes: [Hole { start: 0, end: 0 }; HOLES],
        resent_sequence: 0,
        resent_in_a_row: 0,
        most_resent: 0,
        most_resent_length: 0,
        reset_ttl: 0,
        flags: 0,
    };

    /// How often a class was met.
    #[must_use]
    pub const fn count(&self, class: Class) -> u32 {
        self.classes[class as usize]
    }

    #[inline(always)]
    fn observe(&mut self, segment: &Segment, ttl: u8, seen: &mut Seen) {
        let classes = recall(&seen.classes);
        for (number, count) in self.classes.iter_mut().enumerate() {
            *count = count.wrapping_add(classes.0 >> number & 1);
        }
        if segment.has(tcp_flags::RST) {
            self.reset_ttl = ttl;
        }
        if classes.contains(Class::LostSegment) {
            self.skipped(Hole { start: seen.next_before, end: segment.sequence });
            return;
        }
        let is_resent = classes.intersects(Classes::RETRANSMISSIONS);
        if !is_resent && !classes.contains(Class::OutOfOrder) {
            return;
        }
        let filled = self.fill(segment);
        if is_resent {
            let lost = self.lost_where(filled, classes);
            seen.classes.insert_side(lost);
            if let Some(count) = self.sides.get_mut(lost as usize) {
                *count = count.wrapping_add(1);
            }
            self.count_in_a_row(segment);
        }
    }

    /// A new hole; the older of the two known ones makes room for it.
    #[inline(always)]
    fn skipped(&mut self, hole: Hole) {
        let [first, second] = self.holes;
        if !second.is_empty() && !first.is_empty() {
            self.flags |= trouble_flags::FORGOT_HOLES;
        }
        self.holes = if second.is_empty() { [first, hole] } else { [second, hole] };
    }

    /// Takes what came out of the holes; was any of it in one?
    #[inline(always)]
    fn fill(&mut self, segment: &Segment) -> bool {
        let mut filled = false;
        for hole in &mut self.holes {
            filled |= hole.fill(segment.sequence, segment.end());
        }
        filled
    }

    #[inline(always)]
    fn lost_where(&self, filled: bool, classes: Classes) -> LossSide {
        if classes.contains(Class::SpuriousRetransmission) {
            // Both the segment and its ACK have passed here.
            LossSide::Unknown
        } else if filled {
            LossSide::Upstream
        } else if self.flags & trouble_flags::FORGOT_HOLES != 0 {
            LossSide::Unknown
        } else {
            LossSide::Downstream
        }
    }

    #[inline(always)]
    fn count_in_a_row(&mut self, segment: &Segment) {
        if self.resent_in_a_row > 0 && self.resent_sequence == segment.sequence {
            self.resent_in_a_row = self.resent_in_a_row.saturating_add(1);
        } else {
            self.resent_sequence = segment.sequence;
            self.resent_in_a_row = 1;
        }
        if self.resent_in_a_row >= self.most_resent {
            self.most_resent = self.resent_in_a_row;
            let length = segment.length;
            self.most_resent_length = if length > 65_535 { 65_535 } else { length as u16 };
        }
    }
}

impl Hole {
    const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Takes a range out of the hole; was any of it in there? What comes into the middle takes all
    /// before it too: senders fill holes from their start, so that has been filled or is late.
    #[inline(always)]
    fn fill(&mut self, start: u32, end: u32) -> bool {
        let overlaps = before(start, self.end) && before(self.start, end);
        if overlaps {
            self.start = if before(end, self.end) { end } else { self.end };
        }
        overlaps
    }
}

/// Serial comparison of sequence numbers (RFC 1982).
#[inline(always)]
const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the size above).
unsafe impl aya::Pod for TroubleKey {}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the sizes above).
unsafe impl aya::Pod for Trouble {}
