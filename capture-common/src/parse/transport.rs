//! TCP, UDP, SCTP and the ICMP headers.

use super::{Load, Packet, be16, icmp, layers, recall, tunnel};
use crate::reason::Reason;

pub(super) const ICMP: u8 = 1;
pub(super) const IP_IN_IP: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const IPV6_IN_IP: u8 = 41;
pub(super) const GRE: u8 = 47;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;
pub(super) const UDP_LITE: u8 = 136;

const TCP_MIN_LENGTH: usize = 20;
const UDP_LENGTH: u32 = 8;
const SCTP_LENGTH: u32 = 12;

/// Does the protocol have ports that the parser reads?
#[inline(always)]
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP | UDP_LITE)
}

#[inline(always)]
pub(super) fn parse<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let offset = usize::from(recall(&packet.transport_offset));
    let version = recall(&packet.ip_version);
    match recall(&packet.protocol) {
        TCP => tcp(frame, frame_length, offset, packet),
        UDP | UDP_LITE => ports(frame, offset, UDP_LENGTH, Reason::TruncatedUdp, packet),
        SCTP => ports(frame, offset, SCTP_LENGTH, Reason::TruncatedSctp, packet),
        ICMP if version == 4 => icmp::parse(frame, offset, packet),
        ICMPV6 if version == 6 => icmp::parse(frame, offset, packet),
        IP_IN_IP | IPV6_IN_IP | GRE => {
            packet.layers |= layers::TUNNEL;
            Ok(())
        }
        _ => Err(Reason::OtherProtocol),
    }
}

#[inline(always)]
fn tcp<L: Load + ?Sized>(
    frame: &L,
    frame_length: u32,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let length = packet.transport_length();
    if length < TCP_MIN_LENGTH as u32 {
        return Err(Reason::TruncatedTcp);
    }
    let header: [u8; TCP_MIN_LENGTH] = frame.load(offset).ok_or(Reason::TruncatedTcp)?;
    let header_length = u32::from(header[12] >> 4) * 4;
    let payload = match length.checked_sub(header_length) {
        Some(payload) if header_length >= TCP_MIN_LENGTH as u32 => payload,
        _ => return Err(Reason::BadTcpHeader),
    };
    packet.source_port = be16([header[0], header[1]]);
    packet.destination_port = be16([header[2], header[3]]);
    // Field by field: the padding is zero already.
    let segment = &mut packet.segment;
    segment.sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    segment.acknowledgment = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    // Of what the IP header promises, only that counts which the frame had room for on the wire.
    segment.length = payload.min(frame_length.saturating_sub(offset as u32 + header_length));
    segment.window = be16([header[14], header[15]]);
    segment.flags = header[13];
    Ok(())
}

/// UDP and SCTP: only the ports are of interest, but the whole header must be there. The length
/// field of a UDP header that covers less than the header is a lie; one that says 0 is a jumbogram
/// or a super-packet (RFC 2675, section 4).
#[inline(always)]
fn ports<L: Load + ?Sized>(
    frame: &L,
    offset: usize,
    header_length: u32,
    truncated: Reason,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let length = packet.transport_length();
    if length < header_length {
        return Err(truncated);
    }
    let header: [u8; 8] = frame.load(offset).ok_or(truncated)?;
    if header_length > 8 {
        let _rest: [u8; 4] = frame.load(offset + 8).ok_or(truncated)?;
    }
    if packet.protocol == UDP && !packet.has(layers::FRAGMENT) {
        let stated = u32::from(be16([header[4], header[5]]));
        if stated != 0 && (stated < UDP_LENGTH || stated > length) {
            return Err(truncated);
        }
    }
    packet.source_port = be16([header[0], header[1]]);
    packet.destination_port = be16([header[2], header[3]]);
    if packet.protocol == UDP && tunnel::is_port(packet.destination_port) {
        packet.layers |= layers::TUNNEL;
    }
    Ok(())
}
