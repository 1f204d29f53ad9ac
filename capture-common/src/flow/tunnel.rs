//! Identifiers of tunnels in the key of a flow.
//!
//! The addresses in one tunnel mean nothing in another, so the key of a conversation tells tunnels
//! apart, by what both directions of a tunnel have in common. The 32 bits are used so:
//!
//! | identifier | tunnel |
//! |---|---|
//! | 0 | none |
//! | 1 | IP in IP: IPv4 or IPv6, in IPv4 or IPv6 |
//! | 2 | GRE without a key |
//! | 3 | ERSPAN without a session (type I) |
//! | 0x400 + session | ERSPAN types II and III |
//! | 0x01000000 + VNI | VXLAN |
//! | 0x02000000 + VNI | GENEVE |
//! | 0x03000000 + key, modulo 2³² | GRE with a key |
//!
//! So two GRE keys, or two VNIs of one kind, never have the same identifier. Only keys from
//! 0xfd000000 on share theirs with other kinds: keys written as the IPv4 address of a unicast or
//! multicast host, and small numbers, do not.

/// IP in IP has nothing but its addresses to be told by.
pub const IP_IN_IP: u32 = 1;
/// GRE without a key.
pub const GRE: u32 = 2;

/// ERSPAN type I, which does not say of which session it is.
pub const ERSPAN: u32 = 3;

const SESSION_BITS: u16 = 0x03ff;
const VNI_BITS: u32 = 0x00ff_ffff;

/// Of ERSPAN, by the lower ten bits of `session`, the session of the mirror
/// (draft-foschiano-erspan-03, section 4). Both directions of what it mirrors have the same.
#[inline(always)]
#[must_use]
pub const fn erspan(session: u16) -> u32 {
    0x0400 | (session & SESSION_BITS) as u32
}

/// Of VXLAN, by its network identifier of 24 bits (RFC 7348, section 5).
#[inline(always)]
#[must_use]
pub const fn vxlan(vni: u32) -> u32 {
    0x0100_0000 | vni & VNI_BITS
}

/// Of GENEVE, by its network identifier of 24 bits (RFC 8926, section 3.4).
#[inline(always)]
#[must_use]
pub const fn geneve(vni: u32) -> u32 {
    0x0200_0000 | vni & VNI_BITS
}

/// Of GRE, by its key (RFC 2890, section 2.1).
#[inline(always)]
#[must_use]
pub const fn gre_key(key: u32) -> u32 {
    key.wrapping_add(0x0300_0000)
}

/// Of a tunnel that lies in another; `outer` is 0 for one that does not, and changes nothing then.
/// Two tunnels within the same one never get the same identifier, others as good as never.
#[inline(always)]
#[must_use]
pub const fn nested(outer: u32, inner: u32) -> u32 {
    // Odd, so that no outer identifier is lost either: 2³² divided by the golden ratio.
    outer.wrapping_mul(0x9e37_79b1).wrapping_add(inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kinds_are_apart() {
        let numbers = [0, 1, 2, 0x8000, VNI_BITS];
        let keys = [0, 1, 2, 0x0100_0001, 0x0a00_0001, u32::from_be_bytes([239, 255, 255, 255])];
        let sessions = [0, 1, 2, 0x200, SESSION_BITS];
        let all: Vec<u32> = [0, IP_IN_IP, GRE, ERSPAN]
            .into_iter()
            .chain(sessions.map(erspan))
            .chain(numbers.map(vxlan))
            .chain(numbers.map(geneve))
            .chain(keys.map(gre_key))
            .collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:x?}");
    }

    proptest! {
        #[test]
        fn keys_are_apart(one: u32, other: u32, within: u32) {
            prop_assert_eq!(gre_key(one) == gre_key(other), one == other);
            prop_assert_eq!(nested(within, one) == nested(within, other), one == other);
            prop_assert_eq!(nested(one, within) == nested(other, within), one == other);
            prop_assert_eq!(nested(0, one), one);
        }

        /// Beside the session there are other bits in its field.
        #[test]
        fn sessions_have_ten_bits(one: u16, other: u16) {
            prop_assert_eq!(erspan(one) == erspan(other), one % 1024 == other % 1024);
        }
    }
}
