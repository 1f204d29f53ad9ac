//! What the TCP step can say of a segment.
//!
//! The names are Wireshark's (`tcp.analysis.*`) where it has them.

/// A verdict on a TCP segment. The discriminant is both the index of its counter and its bit in a
/// [`Classes`] set. Order and numbers are ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Class {
    /// A SYN sent again.
    SynRetransmission = 0,
    /// A SYN-ACK sent again.
    SynAckRetransmission = 1,
    /// A data segment or FIN sent again, with nothing that says why.
    Retransmission = 2,
    /// A fast retransmission: sent again after two or more duplicate ACKs.
    FastRetransmission = 3,
    /// A spurious retransmission: sent again although already acknowledged.
    SpuriousRetransmission = 4,
    /// A segment that arrived after a later one, too soon to be a retransmission.
    OutOfOrder = 5,
    /// An ACK that acknowledges nothing new.
    DuplicateAck = 6,
    /// A hole in front of this segment.
    LostSegment = 7,
    /// A keep-alive.
    KeepAlive = 8,
    /// The answer to a keep-alive.
    KeepAliveAck = 9,
    /// A receiver that closed its window.
    ZeroWindow = 10,
    /// A probe of a closed window.
    ZeroWindowProbe = 11,
    /// The answer to a probe of a closed window.
    ZeroWindowProbeAck = 12,
    /// A receiver that opened its window.
    WindowUpdate = 13,
    /// A reset.
    Reset = 14,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 15;
    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::SynRetransmission,
        Self::SynAckRetransmission,
        Self::Retransmission,
        Self::FastRetransmission,
        Self::SpuriousRetransmission,
        Self::OutOfOrder,
        Self::DuplicateAck,
        Self::LostSegment,
        Self::KeepAlive,
        Self::KeepAliveAck,
        Self::ZeroWindow,
        Self::ZeroWindowProbe,
        Self::ZeroWindowProbeAck,
        Self::WindowUpdate,
        Self::Reset,
    ];

    /// Short name for people, as in the comments of captured packets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynRetransmission => "SYN retransmission",
            Self::SynAckRetransmission => "SYN-ACK retransmission",
            Self::Retransmission => "retransmission",
            Self::FastRetransmission => "fast retransmission",
            Self::SpuriousRetransmission => "spurious retransmission",
            Self::OutOfOrder => "out of order",
            Self::DuplicateAck => "duplicate ACK",
            Self::LostSegment => "previous segment lost",
            Self::KeepAlive => "keep-alive",
            Self::KeepAliveAck => "keep-alive ACK",
            Self::ZeroWindow => "zero window",
            Self::ZeroWindowProbe => "zero window probe",
            Self::ZeroWindowProbeAck => "zero window probe ACK",
            Self::WindowUpdate => "window update",
            Self::Reset => "reset",
        }
    }

    /// For the retransmissions: the value of the Prometheus label `class`.
    #[must_use]
    pub const fn retransmission_label(self) -> Option<&'static str> {
        match self {
            Self::SynRetransmission => Some("syn"),
            Self::SynAckRetransmission => Some("syn_ack"),
            Self::Retransmission => Some("retransmission"),
            Self::FastRetransmission => Some("fast"),
            Self::SpuriousRetransmission => Some("spurious"),
            _ => None,
        }
    }
}

/// Where a segment that was sent again had been lost, as far as one point of observation can tell
/// (see `docs/tcp-analysis.md`). The discriminant is the index of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum LossSide {
    /// Between the sender and this host: it fills a hole that was seen here.
    Upstream = 0,
    /// Between this host and the receiver, or its ACK was: it had been seen here.
    Downstream = 1,
    /// Nobody can tell from here: nothing was lost, or this host came too late to know.
    Unknown = 2,
}

impl LossSide {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [Self::Upstream, Self::Downstream, Self::Unknown];

    /// The value of the Prometheus label `side`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
            Self::Unknown => "unknown",
        }
    }
}

/// A set of [`Class`]es, one bit each; for a retransmission also its [`LossSide`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Classes(pub u32);

impl Classes {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The retransmissions of all kinds.
    pub const RETRANSMISSIONS: Self = Self(
        1 << Class::SynRetransmission as u32
            | 1 << Class::SynAckRetransmission as u32
            | 1 << Class::Retransmission as u32
            | 1 << Class::FastRetransmission as u32
            | 1 << Class::SpuriousRetransmission as u32,
    );
    /// What healthy connections have too.
    pub const BENIGN: Self = Self(
        1 << Class::KeepAlive as u32
            | 1 << Class::KeepAliveAck as u32
            | 1 << Class::WindowUpdate as u32,
    );
    /// Bit of the first [`LossSide`].
    pub const SIDES_SHIFT: u32 = 24;
    /// The bits of the classes, without those of the sides.
    pub const CLASSES_MASK: u32 = (1 << Class::COUNT) - 1;

    /// Adds a class.
    #[inline(always)]
    pub const fn insert(&mut self, class: Class) {
        self.0 |= 1 << class as u32;
    }

    /// Is the class in the set?
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, class: Class) -> bool {
        self.0 & (1 << class as u32) != 0
    }

    /// Adds where the segment had been lost.
    #[inline(always)]
    pub const fn insert_side(&mut self, side: LossSide) {
        self.0 |= 1 << (Self::SIDES_SHIFT + side as u32);
    }

    /// Where the segment had been lost; `None` if it is no retransmission.
    #[must_use]
    pub fn side(self) -> Option<LossSide> {
        LossSide::ALL.into_iter().find(|side| self.0 >> (Self::SIDES_SHIFT + *side as u32) & 1 != 0)
    }

    /// Are members of the other set in this one?
    #[inline(always)]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is there anything in the set that healthy connections do not have?
    #[inline(always)]
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        self.0 & Self::CLASSES_MASK & !Self::BENIGN.0 != 0
    }

    /// Is the set empty?
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.contains(*class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_order() {
        for (number, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, number);
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = Classes::NONE;
        assert!(set.is_empty());
        set.insert(Class::Reset);
        set.insert(Class::SynRetransmission);
        assert!(set.iter().eq([Class::SynRetransmission, Class::Reset]));
        assert!(!set.contains(Class::OutOfOrder));
    }
}
