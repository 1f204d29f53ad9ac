//! The rules of the first filter: protocol, host or net, port.

use crate::parse::{Packet, depth, has_ports};

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
    /// Address of the net, host bits zero; IPv4 as IPv4-mapped IPv6 address (`::ffff:a.b.c.d`),
    /// as in [`Packet`](crate::parse::Packet).
    pub net: [u8; 16],
    /// Mask of the net; for IPv4 the first 96 bits are ones, so that no IPv6 address matches.
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

impl FilterRule {
    /// Do all conditions of the rule hold?
    #[inline(always)]
    #[must_use]
    pub fn matches(&self, packet: &Packet) -> bool {
        let wants = |condition| self.flags & condition != 0;
        if wants(rule_flags::IP_VERSION) && packet.ip_version != self.ip_version {
            return false;
        }
        if wants(rule_flags::PROTOCOL)
            && (packet.depth < depth::LINK
                || packet.ip_version == 0
                || packet.protocol != self.protocol)
        {
            return false;
        }
        if wants(rule_flags::NET)
            && !(packet.ip_version != 0
                && (self.is_in_net(packet.source) || self.is_in_net(packet.destination)))
        {
            return false;
        }
        if wants(rule_flags::PORT) {
            let in_range = |port| self.port_low <= port && port <= self.port_high;
            let has_ports = packet.depth == depth::TRANSPORT && has_ports(packet.protocol);
            return has_ports
                && (in_range(packet.source_port) || in_range(packet.destination_port));
        }
        true
    }

    #[inline(always)]
    fn is_in_net(&self, address: [u8; 16]) -> bool {
        let word = |bytes: [u8; 16], at: usize| {
            u64::from_ne_bytes([
                bytes[at],
                bytes[at + 1],
                bytes[at + 2],
                bytes[at + 3],
                bytes[at + 4],
                bytes[at + 5],
                bytes[at + 6],
                bytes[at + 7],
            ])
        };
        word(address, 0) & word(self.mask, 0) == word(self.net, 0)
            && word(address, 8) & word(self.mask, 8) == word(self.net, 8)
    }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the sizes above).
unsafe impl aya::Pod for FilterRules {}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet {
            source: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7],
            destination: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 4],
            source_port: 40000,
            destination_port: 80,
            ip_version: 4,
            protocol: 6,
            depth: depth::TRANSPORT,
            ..Packet::default()
        }
    }

    fn net(address: [u8; 4], bits: u32) -> FilterRule {
        let mut rule =
            FilterRule { flags: rule_flags::NET, mask: [0xff; 16], ..Default::default() };
        let mask = (!0_u32).checked_shl(32 - bits).unwrap_or(0).to_be_bytes();
        rule.net[10..12].fill(0xff);
        rule.net[12..].copy_from_slice(&address);
        rule.mask[12..].copy_from_slice(&mask);
        rule
    }

    #[test]
    fn nets_match_either_end() {
        assert!(net([192, 0, 2, 0], 24).matches(&packet()));
        assert!(net([203, 0, 113, 4], 32).matches(&packet()));
        assert!(net([0, 0, 0, 0], 0).matches(&packet()));
        assert!(!net([203, 0, 113, 5], 32).matches(&packet()));
        let v6 = Packet { source: [0x20; 16], destination: [0x20; 16], ip_version: 6, ..packet() };
        assert!(!net([0, 0, 0, 0], 0).matches(&v6));
    }

    #[test]
    fn ports_match_either_end_of_protocols_that_have_them() {
        let port = |low, high| FilterRule {
            flags: rule_flags::PORT,
            port_low: low,
            port_high: high,
            ..Default::default()
        };
        assert!(port(80, 80).matches(&packet()));
        assert!(port(39999, 40001).matches(&packet()));
        assert!(!port(81, 39999).matches(&packet()));
        assert!(!port(0, 65535).matches(&Packet { protocol: 1, ..packet() }));
        assert!(!port(0, 65535).matches(&Packet { depth: depth::NETWORK, ..packet() }));
    }

    #[test]
    fn conditions_must_all_hold() {
        let rule = FilterRule {
            flags: rule_flags::IP_VERSION | rule_flags::PROTOCOL,
            ip_version: 4,
            protocol: 6,
            ..Default::default()
        };
        assert!(rule.matches(&packet()));
        assert!(!rule.matches(&Packet { protocol: 17, ..packet() }));
        assert!(!rule.matches(&Packet { ip_version: 6, ..packet() }));
        assert!(!rule.matches(&Packet::default()), "a frame without an IP header");
        assert!(FilterRule::default().matches(&Packet::default()), "no condition matches all");
    }
}
