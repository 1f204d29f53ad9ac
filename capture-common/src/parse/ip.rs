//! IPv4 with options, IPv6 with extension headers, fragments of both.

use super::{Load, Packet, be16, layers, packet::set_mapped, recall};
use crate::reason::Reason;

/// Most IPv6 extension headers that are followed.
pub const MAX_IPV6_EXTENSIONS: usize = 6;

pub(super) const IPV4_MIN_LENGTH: usize = 20;
pub(super) const IPV6_LENGTH: usize = 40;
const FRAGMENT_OFFSET: u16 = 0x1fff;
const MORE_FRAGMENTS: u16 = 0x2000;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ENCAPSULATING_SECURITY: u8 = 50;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

#[inline(always)]
pub(super) fn parse_v4<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let header: [u8; IPV4_MIN_LENGTH] = frame.load(offset).ok_or(Reason::TruncatedIpv4)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_length < IPV4_MIN_LENGTH {
        return Err(Reason::BadIpv4Header);
    }
    // 0 in super-packets of more than 64 KiB (BIG TCP) and where the NIC fills it in.
    let total = u32::from(be16([header[2], header[3]]));
    let total = if total == 0 { frame_length.saturating_sub(offset as u32) } else { total };
    if total < header_length as u32 {
        return Err(Reason::BadIpv4Length);
    }
    // The options are skipped, but they must be there.
    let _last: [u8; 1] = frame.load(offset + header_length - 1).ok_or(Reason::TruncatedIpv4)?;
    packet.network_end = offset as u32 + total;
    packet.ttl = header[8];
    packet.protocol = header[9];
    set_mapped(&mut packet.source, [header[12], header[13], header[14], header[15]]);
    set_mapped(&mut packet.destination, [header[16], header[17], header[18], header[19]]);
    let fragment = be16([header[6], header[7]]);
    if fragment & (FRAGMENT_OFFSET | MORE_FRAGMENTS) != 0 {
        packet.layers |= layers::FRAGMENT;
        if fragment & FRAGMENT_OFFSET != 0 {
            return Err(Reason::Fragment);
        }
    }
    packet.transport_offset = (offset + header_length) as u16;
    Ok(())
}

#[inline(always)]
pub(super) fn parse_v6<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let start: [u8; 8] = frame.load(offset).ok_or(Reason::TruncatedIpv6)?;
    if start[0] >> 4 != 6 {
        return Err(Reason::BadIpv6Header);
    }
    packet.source = frame.load(offset + 8).ok_or(Reason::TruncatedIpv6)?;
    packet.destination = frame.load(offset + 24).ok_or(Reason::TruncatedIpv6)?;
    packet.ttl = start[7];
    let payload = u32::from(be16([start[4], start[5]]));
    packet.network_end = if payload == 0 {
        // A jumbogram (RFC 2675) or a super-packet: the frame tells.
        frame_length
    } else {
        (offset + IPV6_LENGTH) as u32 + payload
    };
    let (protocol, offset) = extensions(frame, start[6], offset + IPV6_LENGTH, packet)?;
    packet.protocol = protocol;
    packet.transport_offset = offset as u16;
    match protocol {
        NO_NEXT_HEADER | ENCAPSULATING_SECURITY => Err(Reason::NoTransport),
        _ => Ok(()),
    }
}

/// Skips the extension headers (RFC 8200, section 4; RFC 6564 for their common layout). Returns
/// the protocol behind them and its offset.
#[inline(always)]
fn extensions<L: Load + ?Sized>(
    frame: &L,
    first: u8,
    start: usize,
    packet: &mut Packet,
) -> Result<(u8, usize), Reason> {
    let mut protocol = first;
    let mut offset = start;
    for _ in 0..MAX_IPV6_EXTENSIONS {
        if !is_extension(protocol) {
            return Ok((protocol, offset));
        }
        packet.protocol = protocol;
        let header: [u8; 4] = frame.load(offset).ok_or(Reason::TruncatedIpv6Extension)?;
        let length = match protocol {
            FRAGMENT => 8,
            // RFC 4302, section 2.2: in units of 4 bytes, minus 2.
            AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        // What lies behind the packet is padding, not a header.
        if (offset + length) as u32 > recall(&packet.network_end) {
            return Err(Reason::TruncatedIpv6Extension);
        }
        let _last: [u8; 1] =
            frame.load(offset + length - 1).ok_or(Reason::TruncatedIpv6Extension)?;
        if protocol == FRAGMENT {
            let fragment = be16([header[2], header[3]]);
            // Offset in units of 8 bytes in the upper 13 bits, "more" in the lowest.
            if fragment & 0xfff9 != 0 {
                packet.layers |= layers::FRAGMENT;
            }
            if fragment & 0xfff8 != 0 {
                packet.protocol = header[0];
                return Err(Reason::Fragment);
            }
        }
        protocol = header[0];
        offset += length;
    }
    if is_extension(protocol) { Err(Reason::TooManyIpv6Extensions) } else { Ok((protocol, offset)) }
}

#[inline(always)]
const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | AUTHENTICATION
            | DESTINATION_OPTIONS
            | MOBILITY
            | HOST_IDENTITY
            | SHIM6
    )
}
