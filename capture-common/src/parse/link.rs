//! Ethernet and what may lie between it and IP.

use super::{Load, Packet, be16, layers};
use crate::reason::Reason;

/// Most VLAN tags that are followed.
pub const MAX_VLANS: u8 = 4;
/// Most MPLS label stack entries that are followed.
pub const MAX_MPLS_LABELS: usize = 6;

/// No frame is longer, in bytes; a mask for shorter lengths.
pub(super) const MAX_LENGTH: u32 = 0xffff;
const ETHERNET_LENGTH: usize = 14;
pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
/// Used for service tags before IEEE 802.1ad; still on the wire.
const ETHERTYPE_OLD_SERVICE_VLAN: u16 = 0x9100;
pub(super) const ETHERTYPE_MPLS: u16 = 0x8847;
pub(super) const ETHERTYPE_MPLS_UPSTREAM: u16 = 0x8848;
const ETHERTYPE_PPPOE_SESSION: u16 = 0x8864;
/// Discovery frames carry no IP (RFC 2516).
const ETHERTYPE_PPPOE_DISCOVERY: u16 = 0x8863;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Ethernet, whose header is at `start`: 0 but for frames in tunnels.
#[inline(always)]
pub(super) fn parse<L: Load + ?Sized>(
    frame: &L,
    start: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let mut ethertype = be16(frame.load(start + 12).ok_or(Reason::TruncatedEthernet)?);
    let mut offset = start + ETHERNET_LENGTH;
    for tags in 0..=MAX_VLANS {
        if !is_vlan(ethertype) {
            packet.vlans = tags;
            break;
        }
        if tags == MAX_VLANS {
            packet.vlans = tags;
            return Err(Reason::TooManyVlans);
        }
        ethertype = be16(frame.load(offset + 2).ok_or(Reason::TruncatedVlan)?);
        offset += 4;
    }
    payload(frame, ethertype, offset, packet)
}

/// What an EtherType other than that of a VLAN announces.
#[inline(always)]
pub(super) fn payload<L: Load + ?Sized>(
    frame: &L,
    ethertype: u16,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    match ethertype {
        ETHERTYPE_IPV4 => found(packet, 4, offset),
        ETHERTYPE_IPV6 => found(packet, 6, offset),
        ETHERTYPE_MPLS | ETHERTYPE_MPLS_UPSTREAM => mpls(frame, offset, packet),
        ETHERTYPE_PPPOE_SESSION => pppoe(frame, offset, packet),
        ETHERTYPE_PPPOE_DISCOVERY => Err(Reason::PppoeNotIp),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN | ETHERTYPE_OLD_SERVICE_VLAN)
}

/// Notes where the IP header is, and which version it should be.
#[inline(always)]
fn found(packet: &mut Packet, version: u8, offset: usize) -> Result<(), Reason> {
    packet.network_offset = offset as u16;
    packet.ip_version = version;
    Ok(())
}

/// Skips the label stack (RFC 3032). Nothing in it says what follows: by convention the first
/// nibble of the payload tells IPv4 and IPv6 (RFC 4928).
#[inline(always)]
fn mpls<L: Load + ?Sized>(frame: &L, start: usize, packet: &mut Packet) -> Result<(), Reason> {
    const BOTTOM_OF_STACK: u8 = 1;
    packet.layers |= layers::MPLS;
    let mut offset = start;
    for _ in 0..MAX_MPLS_LABELS {
        let [_, _, third, _]: [u8; 4] = frame.load(offset).ok_or(Reason::TruncatedMpls)?;
        offset += 4;
        if third & BOTTOM_OF_STACK != 0 {
            // Two bytes, although one would do: the compiler makes ">= end" of a check for one, from
            // which the verifier learns nothing where the offset is not a constant.
            let [first, _] = frame.load(offset).ok_or(Reason::TruncatedMpls)?;
            return match first >> 4 {
                version @ (4 | 6) => found(packet, version, offset),
                _ => Err(Reason::MplsNotIp),
            };
        }
    }
    Err(Reason::TooManyMplsLabels)
}

/// Skips a PPPoE session header and the PPP protocol field, which may be compressed to one byte
/// (RFC 1661, section 6.5; RFC 2516 advises against it, so it is taken for "not IP").
#[inline(always)]
fn pppoe<L: Load + ?Sized>(frame: &L, offset: usize, packet: &mut Packet) -> Result<(), Reason> {
    const LENGTH: usize = 8;
    packet.layers |= layers::PPPOE;
    let protocol = be16(frame.load(offset + 6).ok_or(Reason::TruncatedPppoe)?);
    let offset = offset + LENGTH;
    match protocol {
        PPP_IPV4 => found(packet, 4, offset),
        PPP_IPV6 => found(packet, 6, offset),
        _ => Err(Reason::PppoeNotIp),
    }
}
