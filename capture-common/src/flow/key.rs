//! The key of a conversation: both its directions have the same.

use crate::parse::{Packet, has_ports};

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

/// Address and port.
type Endpoint<'a> = (&'a [u8; 16], u16);

impl FlowKey {
    /// The key of a packet's conversation, and which endpoint sent the packet.
    #[must_use]
    pub fn of(packet: &Packet) -> (Self, Side) {
        let mut key = Self::default();
        let side = key.set(packet);
        (key, side)
    }

    /// Becomes the key of a packet's conversation; returns which endpoint sent the packet. In place,
    /// since in the programs the stack is small.
    #[inline(always)]
    pub fn set(&mut self, packet: &Packet) -> Side {
        self.set_between(
            (&packet.source, packet.source_port),
            (&packet.destination, packet.destination_port),
            packet.tunnel,
        )
    }

    /// Becomes the key of the conversation that an ICMP error quotes; returns which endpoint sent
    /// the quoted packet. `None` if the quote does not name a conversation, because it begins behind
    /// the ports.
    #[inline(always)]
    pub fn set_quoted(&mut self, packet: &Packet) -> Option<Side> {
        let quote = &packet.quote;
        if has_ports(quote.protocol) && quote.source_port == 0 && quote.destination_port == 0 {
            return None;
        }
        Some(self.set_between(
            (&quote.source, quote.source_port),
            (&quote.destination, quote.destination_port),
            packet.tunnel,
        ))
    }

    #[inline(always)]
    fn set_between(
        &mut self,
        source: Endpoint<'_>,
        destination: Endpoint<'_>,
        tunnel: u32,
    ) -> Side {
        let is_low = (order(source.0), source.1) <= (order(destination.0), destination.1);
        self.tunnel = tunnel;
        if is_low {
            (self.low_address, self.low_port) = (*source.0, source.1);
            (self.high_address, self.high_port) = (*destination.0, destination.1);
            Side::Low
        } else {
            (self.low_address, self.low_port) = (*destination.0, destination.1);
            (self.high_address, self.high_port) = (*source.0, source.1);
            Side::High
        }
    }
}

/// Some total order of addresses: two machine words compare faster than 16 bytes, and which order
/// it is does not matter as long as both directions see the same.
#[inline(always)]
fn order(address: &[u8; 16]) -> (u64, u64) {
    let words = core::ptr::from_ref(address).cast::<u64>();
    // SAFETY: both words lie within the array, alignment is not asked for, and all values are valid.
    // Not `from_ne_bytes`: of that the BPF back end makes sixteen loads of a byte, and keeps them on
    // the stack.
    unsafe { (words.read_unaligned(), words.add(1).read_unaligned()) }
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
