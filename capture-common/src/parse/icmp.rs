//! ICMP and ICMPv6, and the packet that an error quotes.

use super::{
    Load, Packet, Quote, be16,
    ip::{IPV4_MIN_LENGTH, IPV6_LENGTH},
    layers,
    packet::{mapped, recall},
    transport::has_ports,
};
use crate::reason::Reason;

const HEADER_LENGTH: usize = 8;

/// Type of an ICMPv6 redirect.
const REDIRECT: u8 = 137;
/// Type of the option of a redirect that holds the packet.
const REDIRECTED_HEADER: u8 = 4;
/// Most options of a redirect that are looked at; it has two at most (RFC 4861, section 4.5).
const MAX_OPTIONS: usize = 2;

/// What is left of a quoted packet: where it starts and how many bytes of it the message holds.
struct Quoted {
    offset: usize,
    length: u32,
}

impl Quoted {
    /// Without its first `bytes`.
    #[inline(always)]
    const fn behind(&self, bytes: usize) -> Self {
        Self { offset: self.offset + bytes, length: self.length.saturating_sub(bytes as u32) }
    }
}

#[inline(always)]
pub(super) fn parse<L: Load + ?Sized>(
    frame: &L,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let length = packet.transport_length();
    if length < HEADER_LENGTH as u32 {
        return Err(Reason::TruncatedIcmp);
    }
    let header: [u8; HEADER_LENGTH] = frame.load(offset).ok_or(Reason::TruncatedIcmp)?;
    let [kind, code, ..] = header;
    packet.icmp_type = kind;
    packet.icmp_code = code;
    if !is_error(packet.ip_version, kind) || packet.has(layers::FRAGMENT) {
        return Ok(());
    }
    let quoted = Quoted { offset: offset + HEADER_LENGTH, length: length - HEADER_LENGTH as u32 };
    let quoted = match (packet.ip_version, kind) {
        (6, REDIRECT) => redirected(frame, quoted)?,
        _ => Some(quoted),
    };
    let Some(Quoted { offset, length }) = quoted else {
        return Ok(());
    };
    // Through memory, and through 16 bits: the verifier wants a bound that it can remember.
    packet.quote.mtu = offset as u16;
    let quoted = Quoted { offset: usize::from(recall(&packet.quote.mtu)), length };
    if packet.ip_version == 6 {
        quote_v6(frame, quoted, &mut packet.quote)?;
    } else {
        quote_v4(frame, quoted, &mut packet.quote)?;
    }
    packet.quote.mtu = next_mtu(packet.ip_version, header);
    packet.layers |= layers::QUOTE;
    Ok(())
}

/// The MTU in "fragmentation needed" (RFC 1191, section 4) and "packet too big" (RFC 4443, section
/// 3.2); 0 for other messages, and from routers that are older than the former.
#[inline(always)]
const fn next_mtu(ip_version: u8, header: [u8; HEADER_LENGTH]) -> u16 {
    let [kind, code, _, _, high @ .., third, fourth] = header;
    match (ip_version, kind, code) {
        (6, 2, _) if high[0] != 0 || high[1] != 0 => u16::MAX,
        (6, 2, _) | (4, 3, 4) => be16([third, fourth]),
        _ => 0,
    }
}

/// The messages that quote the packet that they are about: ICMP unreachable, source quench,
/// redirect, time exceeded, parameter problem (RFC 792); ICMPv6 types 1 to 4 (RFC 4443) and
/// redirect (RFC 4861).
#[inline(always)]
const fn is_error(ip_version: u8, kind: u8) -> bool {
    if ip_version == 6 { matches!(kind, 1..=4 | REDIRECT) } else { matches!(kind, 3..=5 | 11 | 12) }
}

/// The packet in an option of an ICMPv6 redirect (RFC 4861, sections 4.5 and 4.6.3); `None` if there is
/// no such option, which is allowed.
#[inline(always)]
fn redirected<L: Load + ?Sized>(frame: &L, message: Quoted) -> Result<Option<Quoted>, Reason> {
    // The target's and the destination's address.
    let mut at = message.behind(32);
    for _ in 0..MAX_OPTIONS {
        if at.length < 8 {
            return Ok(None);
        }
        let [kind, units]: [u8; 2] = frame.load(at.offset).ok_or(Reason::TruncatedQuote)?;
        let length = usize::from(units) * 8;
        if length == 0 {
            return Err(Reason::BadQuote);
        }
        if kind == REDIRECTED_HEADER {
            let whole = at.length.min(length as u32);
            return Ok(Some(Quoted { length: whole, ..at }.behind(8)));
        }
        at = at.behind(length);
    }
    Ok(None)
}

#[inline(always)]
fn quote_v4<L: Load + ?Sized>(frame: &L, at: Quoted, quote: &mut Quote) -> Result<(), Reason> {
    if at.length < IPV4_MIN_LENGTH as u32 {
        return Err(Reason::TruncatedQuote);
    }
    let header: [u8; 10] = frame.load(at.offset).ok_or(Reason::TruncatedQuote)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_length < IPV4_MIN_LENGTH {
        return Err(Reason::BadQuote);
    }
    quote.source = mapped(frame.load(at.offset + 12).ok_or(Reason::TruncatedQuote)?);
    quote.destination = mapped(frame.load(at.offset + 16).ok_or(Reason::TruncatedQuote)?);
    quote.protocol = header[9];
    let is_first = be16([header[6], header[7]]) & 0x1fff == 0;
    ports(frame, at.behind(header_length), is_first, quote)
}

/// Extension headers in a quote are not followed: such a quote names its addresses, but no ports.
#[inline(always)]
fn quote_v6<L: Load + ?Sized>(frame: &L, at: Quoted, quote: &mut Quote) -> Result<(), Reason> {
    if at.length < IPV6_LENGTH as u32 {
        return Err(Reason::TruncatedQuote);
    }
    let start: [u8; 8] = frame.load(at.offset).ok_or(Reason::TruncatedQuote)?;
    if start[0] >> 4 != 6 {
        return Err(Reason::BadQuote);
    }
    quote.source = frame.load(at.offset + 8).ok_or(Reason::TruncatedQuote)?;
    quote.destination = frame.load(at.offset + 24).ok_or(Reason::TruncatedQuote)?;
    quote.protocol = start[6];
    ports(frame, at.behind(IPV6_LENGTH), true, quote)
}

/// The first eight bytes behind the quoted IP header must be there (RFC 792); of these the first
/// four are the ports, in the protocols that have any.
#[inline(always)]
fn ports<L: Load + ?Sized>(
    frame: &L,
    at: Quoted,
    is_first: bool,
    quote: &mut Quote,
) -> Result<(), Reason> {
    quote.source_port = 0;
    quote.destination_port = 0;
    quote.padding = 0;
    if !is_first || !has_ports(quote.protocol) {
        return Ok(());
    }
    if at.length < 8 {
        return Err(Reason::TruncatedQuote);
    }
    let ports: [u8; 4] = frame.load(at.offset).ok_or(Reason::TruncatedQuote)?;
    quote.source_port = be16([ports[0], ports[1]]);
    quote.destination_port = be16([ports[2], ports[3]]);
    Ok(())
}
