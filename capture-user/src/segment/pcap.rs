//! The pcap format with nanosecond timestamps, little endian.

use super::record::Record;

/// Magic number of little-endian pcap with nanoseconds.
pub(super) const MAGIC: u32 = 0xa1b2_3c4d;
/// `LINKTYPE_ETHERNET`, in both formats.
pub(super) const LINKTYPE_ETHERNET: u16 = 1;
/// Bytes of the file header.
pub(super) const HEADER_LENGTH: usize = 24;
/// Bytes in front of each frame.
pub(super) const RECORD_HEADER: usize = 16;

const NANOSECONDS: u64 = 1_000_000_000;

/// The file header.
pub(super) fn header(snap_length: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_LENGTH);
    header.extend(MAGIC.to_le_bytes());
    header.extend(2_u16.to_le_bytes());
    header.extend(4_u16.to_le_bytes());
    header.extend([0; 8]);
    header.extend(snap_length.to_le_bytes());
    header.extend(u32::from(LINKTYPE_ETHERNET).to_le_bytes());
    header
}

/// Bytes of a record.
#[inline]
pub(super) const fn record_length(captured: usize) -> usize {
    RECORD_HEADER + captured
}

/// Writes a record into `block`, which is [`record_length`] long. Seconds past 2106, which the
/// format cannot hold, stop at its end.
#[inline]
pub(super) fn put_record(block: &mut [u8], record: &Record<'_>) {
    let timestamp = record.info.timestamp;
    let seconds = u32::try_from(timestamp / NANOSECONDS).unwrap_or(u32::MAX);
    let nanoseconds = (timestamp % NANOSECONDS) as u32;
    let mut head = [0; RECORD_HEADER];
    head[0..4].copy_from_slice(&seconds.to_le_bytes());
    head[4..8].copy_from_slice(&nanoseconds.to_le_bytes());
    head[8..12].copy_from_slice(&(record.captured as u32).to_le_bytes());
    head[12..16].copy_from_slice(&record.original.to_le_bytes());

    let (start, data) = block.split_at_mut(RECORD_HEADER);
    start.copy_from_slice(&head);
    record.copy_to(data);
}
