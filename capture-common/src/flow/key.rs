//! The key of a conversation: both its directions have the same.

use crate::parse::Packet;

/// Which of the two endpoints of a [`FlowKey`] sent a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one in the fields `low_*`.
    Low,
    /// The one in the fields `high_*`.
    High,
}

/// Key of the map [`FLOWS`](crate::abi::names::FLOWS): the two endpoints in canonical order, and
/// the tunnel. VLAN tags are not part of it: on a router on a stick both directions of a
/// conversation have different ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Address of the lower endpoint (see [`Packet`] for the form).
    pub low_address: [u8; 16],
    /// Address of the higher endpoint.
    pub high_address: [u8; 16],
    /// Port of the lower endpoint.
    pub low_port: u16,
    /// Port of the higher endpoint.
    pub high_port: u16,
    /// Identifier of the [tunnel](super::tunnel), 0 outside of tunnels.
    pub tunnel: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The key of a packet's conversation, and which endpoint sent the packet.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet) -> (Self, Side) {
        let (source, destination) = (packet.source, packet.destination);
        if (order(source), packet.source_port) <= (order(destination), packet.destination_port) {
            let key = Self {
                low_address: source,
                high_address: destination,
                low_port: packet.source_port,
                high_port: packet.destination_port,
                tunnel: packet.tunnel,
            };
            (key, Side::Low)
        } else {
            let key = Self {
                low_address: destination,
                high_address: source,
                low_port: packet.destination_port,
                high_port: packet.source_port,
                tunnel: packet.tunnel,
            };
            (key, Side::High)
        }
    }
}

/// Some total order of addresses: two machine words compare faster than 16 bytes, and which order
/// it is does not matter as long as both directions see the same.
#[inline(always)]
fn order(address: [u8; 16]) -> (u64, u64) {
    let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = address;
    (
        u64::from_ne_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
        u64::from_ne_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
    )
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the size above).
unsafe impl aya::Pod for FlowKey {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_directions_have_one_key(
            source: [u8; 16], destination: [u8; 16], source_port: u16, destination_port: u16,
            tunnel: u32,
        ) {
            let there = Packet {
                source,
                destination,
                source_port,
                destination_port,
                tunnel,
                ..Packet::default()
            };
            let back = Packet {
                source: destination,
                destination: source,
                source_port: destination_port,
                destination_port: source_port,
                tunnel,
                ..Packet::default()
            };
            let (key, side) = FlowKey::of(&there);
            let (other_key, other_side) = FlowKey::of(&back);
            prop_assert_eq!(key, other_key);
            prop_assert_eq!(key.tunnel, tunnel);
            if (source, source_port) != (destination, destination_port) {
                prop_assert_ne!(side, other_side);
            }
        }
    }
}
