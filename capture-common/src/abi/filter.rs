//! The rules of the first filter: protocol, host or net, port.

/// Most rules of one interface's filter.
pub const MAX_FILTER_RULES: usize = 16;

/// Bits of [`FilterRule::flags`]: which conditions the rule has. A rule without any matches
/// every frame.
pub mod rule_flags {
    /// The IP version must be [`ip_version`](super::FilterRule::ip_version).
    pub const IP_VERSION: u8 = 1 << 0;
    /// The IP protocol must be [`protocol`](super::FilterRule::protocol).
    pub const PROTOCOL: u8 = 1 << 1;
    /// Source or destination address must be in the net.
    pub const NET: u8 = 1 << 2;
    /// Source or destination port must be in the range.
    pub const PORT: u8 = 1 << 3;
}

/// One rule: all its conditions must hold.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterRule {
    /// Bits of [`rule_flags`].
    pub flags: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// IP protocol number (for IPv6: that of the header behind the extension headers).
    pub protocol: u8,
    /// Zero.
    pub padding: u8,
    /// Lowest port that matches.
    pub port_low: u16,
    /// Highest port that matches.
    pub port_high: u16,
    /// Address of the net, host bits zero; IPv4 in the first four bytes, the rest zero.
    pub net: [u8; 16],
    /// Mask of the net; for IPv4 the first four bytes.
    pub mask: [u8; 16],
}

/// Value of the map [`FILTERS`](super::names::FILTERS), at index
/// `2 × slot + filter_generation`: a frame matches if one of the rules does.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterRules {
    /// How many of `rules` count.
    pub count: u32,
    /// The rules; those past `count` are zero.
    pub rules: [FilterRule; MAX_FILTER_RULES],
}

const _: () = assert!(size_of::<FilterRule>() == 40);
const _: () = assert!(size_of::<FilterRules>() == 4 + 40 * MAX_FILTER_RULES);

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the sizes above).
unsafe impl aya::Pod for FilterRules {}
