//! GRE, and what only GRE carries: mirrored frames (ERSPAN).

use super::{
    Load, be16, link,
    tunnel::{ETHERNET, Opened, is_followed},
    wlan,
};
use crate::{flow::tunnel, reason::Reason};

/// ERSPAN types I and II (draft-foschiano-erspan-03, section 4).
const ERSPAN: u16 = 0x88be;
/// ERSPAN type III (same).
const ERSPAN_III: u16 = 0x22eb;
/// From an access point of Aruba's to its controller: 802.11 frames. The numbers go up in steps of
/// 16, one for each of an access point's networks; they are nowhere described, and here as tshark
/// takes them.
const FIRST_ARUBA: u16 = 0x8200;
const LAST_ARUBA: u16 = 0x8370;

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// RFC 2784, section 2.2: of the bits that only RFC 1701 knew, a receiver that does not know
/// it must refuse bits 1, 4 and 5 (bits 2 and 3 are those of RFC 2890).
const ROUTING: u16 = 0x4c00;
const VERSION: u16 = 0x0007;

/// GRE (RFC 2784) with key and sequence number (RFC 2890).
#[inline(always)]
pub(super) fn open<L: Load + ?Sized>(frame: &L, offset: usize) -> Result<Opened, Reason> {
    let header: [u8; 4] = frame.load(offset).ok_or(Reason::TruncatedGre)?;
    let flags = be16([header[0], header[1]]);
    if flags & (ROUTING | VERSION) != 0 {
        return Err(Reason::BadGreHeader);
    }
    let field = |flag| if flags & flag != 0 { 4 } else { 0 };
    let key_at = offset + 4 + field(CHECKSUM);
    let end = key_at + field(KEY) + field(SEQUENCE);
    let _last: [u8; 1] = frame.load(end - 1).ok_or(Reason::TruncatedGre)?;
    let id = if flags & KEY == 0 {
        tunnel::GRE
    } else {
        let key = frame.load(key_at).ok_or(Reason::TruncatedGre)?;
        tunnel::gre_key(u32::from_be_bytes(key))
    };
    match be16([header[2], header[3]]) {
        // The sequence number is what tells the types apart.
        ERSPAN if flags & SEQUENCE == 0 => {
            Ok(Opened { ethertype: ETHERNET, offset: end, id: tunnel::ERSPAN, cut: 0 })
        }
        ERSPAN | ERSPAN_III => erspan(frame, end),
        ethertype if is_followed(ethertype) => Ok(Opened { ethertype, offset: end, id, cut: 0 }),
        aruba if (FIRST_ARUBA..=LAST_ARUBA).contains(&aruba) && aruba % 16 == 0 => {
            let (ethertype, offset) = wlan::open(frame, end)?;
            Ok(Opened { ethertype, offset, id, cut: 0 })
        }
        _ => Err(Reason::TunnelNotIp),
    }
}

/// The header of ERSPAN types II and III, which its own version tells apart (so Linux and tshark
/// take it, too).
#[inline(always)]
fn erspan<L: Load + ?Sized>(frame: &L, offset: usize) -> Result<Opened, Reason> {
    const TYPE_II: u8 = 1;
    const TYPE_II_LENGTH: usize = 8;
    const TYPE_III: u8 = 2;
    const TYPE_III_LENGTH: usize = 12;
    const SUBHEADER_LENGTH: usize = 8;
    /// Of the last two bytes of a type III header: what the mirrored frame is, 0 for Ethernet.
    const FRAME_TYPE: u16 = 0x7c00;
    /// Of the same: a subheader follows that the platform defines.
    const HAS_SUBHEADER: u16 = 0x0001;
    /// Of the second two bytes of both: the mirrored frame was cut.
    const TRUNCATED: u16 = 0x0400;

    let header: [u8; TYPE_II_LENGTH] = frame.load(offset).ok_or(Reason::TruncatedErspan)?;
    let length = match header[0] >> 4 {
        TYPE_II => TYPE_II_LENGTH,
        TYPE_III => {
            let rest: [u8; 4] = frame.load(offset + 8).ok_or(Reason::TruncatedErspan)?;
            let rest = be16([rest[2], rest[3]]);
            if rest & FRAME_TYPE != 0 {
                return Err(Reason::TunnelNotIp);
            }
            TYPE_III_LENGTH + usize::from(rest & HAS_SUBHEADER) * SUBHEADER_LENGTH
        }
        _ => return Err(Reason::BadErspanHeader),
    };
    let end = offset + length;
    let _last: [u8; 1] = frame.load(end - 1).ok_or(Reason::TruncatedErspan)?;
    let session = be16([header[2], header[3]]);
    // By multiplication: of a branch, the verifier would follow all that comes twice.
    let cut = u32::from(session & TRUNCATED) / u32::from(TRUNCATED) * link::MAX_LENGTH;
    Ok(Opened { ethertype: ETHERNET, offset: end, id: tunnel::erspan(session), cut })
}
