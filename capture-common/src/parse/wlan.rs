//! IEEE 802.11 frames, as they lie in the tunnels between access points and their controllers:
//! without radio information in front of them and without a frame check sequence behind.

use super::{Load, be16};
use crate::reason::Reason;

/// Frame control, duration, three addresses, sequence control (IEEE 802.11, section 9.2.3).
const MIN_LENGTH: usize = 24;
const SEQUENCE_CONTROL: usize = 22;
const ADDRESS_LENGTH: usize = 6;
const QOS_CONTROL_LENGTH: usize = 2;
const HT_CONTROL_LENGTH: usize = 4;
/// LLC (three bytes) and SNAP (five, of which the last two are the EtherType).
const LLC_SNAP_LENGTH: usize = 8;

/// Of the first byte: protocol version and type, and of the subtype the bit that says that there is
/// no data in it.
const KIND: u8 = 0x4f;
/// Version 0, type 2, with data.
const DATA: u8 = 0x08;
/// Of the first byte, in data frames.
const QOS: u8 = 0x80;

/// Of the second byte: "to" and "from" the distribution system; with both, there is a fourth address.
const BOTH_DS: u8 = 0x03;
const MORE_FRAGMENTS: u8 = 0x04;
const PROTECTED: u8 = 0x40;
/// With QoS: an HT control field follows.
const ORDER: u8 = 0x80;

/// Of the first byte of the sequence control field.
const FRAGMENT_NUMBER: u8 = 0x0f;
/// Of the first byte of the QoS control field: several frames with headers of their own follow.
const AGGREGATED: u8 = 0x80;

/// Finds what a data frame carries that is neither encrypted, a fragment nor aggregated: its
/// EtherType, and where what that announces starts.
#[inline(always)]
pub(super) fn open<L: Load + ?Sized>(frame: &L, start: usize) -> Result<(u16, usize), Reason> {
    let [kind, flags] = frame.load(start).ok_or(Reason::TruncatedWlan)?;
    if kind & KIND != DATA || flags & PROTECTED != 0 {
        return Err(Reason::WlanNotIp);
    }
    let [sequence, _] = frame.load(start + SEQUENCE_CONTROL).ok_or(Reason::TruncatedWlan)?;
    if flags & MORE_FRAGMENTS != 0 || sequence & FRAGMENT_NUMBER != 0 {
        return Err(Reason::FragmentedTunnel);
    }
    let mut offset = start + MIN_LENGTH;
    if flags & BOTH_DS == BOTH_DS {
        offset += ADDRESS_LENGTH;
    }
    if kind & QOS != 0 {
        let [qos, _] = frame.load(offset).ok_or(Reason::TruncatedWlan)?;
        if qos & AGGREGATED != 0 {
            return Err(Reason::WlanNotIp);
        }
        offset += QOS_CONTROL_LENGTH;
        if flags & ORDER != 0 {
            offset += HT_CONTROL_LENGTH;
        }
    }
    let llc: [u8; LLC_SNAP_LENGTH] = frame.load(offset).ok_or(Reason::TruncatedWlan)?;
    // RFC 1042: unnumbered information for SNAP, whose organisation 0 means EtherTypes.
    let [0xaa, 0xaa, 3, 0, 0, 0, ethertype @ ..] = llc else {
        return Err(Reason::WlanNotIp);
    };
    Ok((be16(ethertype), offset + LLC_SNAP_LENGTH))
}
