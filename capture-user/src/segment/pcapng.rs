//! The pcapng format (draft-ietf-opsawg-pcapng), little endian.

use capture_common::{
    abi::Direction,
    class::{Class, Classes},
};

use super::{pcap::LINKTYPE_ETHERNET, record::Record};

/// Block types.
pub(super) mod block {
    pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub const INTERFACE_DESCRIPTION: u32 = 1;
    pub const INTERFACE_STATISTICS: u32 = 5;
    pub const ENHANCED_PACKET: u32 = 6;
}

/// Option codes.
pub(super) mod option {
    pub const END: u16 = 0;
    pub const COMMENT: u16 = 1;
    pub const SHB_HARDWARE: u16 = 2;
    pub const SHB_OS: u16 = 3;
    pub const SHB_APPLICATION: u16 = 4;
    pub const IF_NAME: u16 = 2;
    pub const IF_DESCRIPTION: u16 = 3;
    pub const IF_TIMESTAMP_RESOLUTION: u16 = 9;
    pub const IF_FILTER: u16 = 11;
    pub const EPB_FLAGS: u16 = 2;
    pub const ISB_START_TIME: u16 = 2;
    pub const ISB_END_TIME: u16 = 3;
    pub const ISB_RECEIVED: u16 = 4;
    pub const ISB_DROPPED: u16 = 5;
    pub const ISB_DELIVERED: u16 = 8;
}

/// Byte-order magic of a section header.
pub(super) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Bytes of an enhanced packet block in front of the frame.
pub(super) const PACKET_HEADER: usize = 28;
/// Its flags option, end of options and trailing length.
const PACKET_TRAILER: usize = 16;
/// Bytes of an interface statistics block as written here.
pub(super) const STATISTICS_LENGTH: usize = 20 + 5 * 12 + 4 + 4;
/// Longest text of an option; longer ones are cut.
const OPTION_LENGTH: usize = 4096;
/// Longest filter: the most that an option holds, less the byte in front of the text.
const FILTER_LENGTH: usize = u16::MAX as usize - 1;

/// Names of the classes, by bit.
static CLASS_NAMES: [&str; Class::COUNT] = {
    let mut names = [""; Class::COUNT];
    let mut at = 0;
    while at < names.len() {
        names[at] = Class::ALL[at].name();
        at += 1;
    }
    names
};
const KNOWN_CLASSES: u32 = (1 << Class::COUNT) - 1;
const COMMENT_PREFIX: &str = "captured: ";
const COMMENT_SEPARATOR: &str = ", ";

/// The next multiple of four: fields of blocks are padded to it.
#[inline]
pub(super) const fn padded(length: usize) -> usize {
    (length + 3) & !3
}

/// Bytes of an enhanced packet block.
#[inline]
pub(super) fn record_length(captured: usize, classes: Classes) -> usize {
    let length = PACKET_HEADER + padded(captured) + PACKET_TRAILER;
    if classes.is_empty() { length } else { length + comment_option_length(classes) }
}

/// Writes an enhanced packet block into `target`, which is [`record_length`] long.
#[inline]
pub(super) fn put_record(target: &mut [u8], record: &Record<'_>) {
    let info = record.info;
    let length = (target.len() as u32).to_le_bytes();
    let mut head = [0; PACKET_HEADER];
    head[0..4].copy_from_slice(&block::ENHANCED_PACKET.to_le_bytes());
    head[4..8].copy_from_slice(&length);
    head[8..12].copy_from_slice(&record.interface.to_le_bytes());
    head[12..16].copy_from_slice(&((info.timestamp >> 32) as u32).to_le_bytes());
    head[16..20].copy_from_slice(&(info.timestamp as u32).to_le_bytes());
    head[20..24].copy_from_slice(&(record.captured as u32).to_le_bytes());
    head[24..28].copy_from_slice(&record.original.to_le_bytes());

    // epb_flags: bits 0 and 1 are the direction, 01 inbound, 10 outbound.
    let flags: u32 = match info.direction {
        Direction::Ingress => 0b01,
        Direction::Egress => 0b10,
    };
    let mut tail = [0; PACKET_TRAILER];
    tail[0..2].copy_from_slice(&option::EPB_FLAGS.to_le_bytes());
    tail[2..4].copy_from_slice(&4_u16.to_le_bytes());
    tail[4..8].copy_from_slice(&flags.to_le_bytes());
    tail[12..16].copy_from_slice(&length);

    let (start, rest) = target.split_at_mut(PACKET_HEADER);
    let (middle, end) = rest.split_at_mut(rest.len() - PACKET_TRAILER);
    let (data, comment) = middle.split_at_mut(padded(record.captured));
    start.copy_from_slice(&head);
    // The padding lies in the last four bytes: zeros first, then the frame over them.
    if let Some(last) = data.last_chunk_mut::<4>() {
        *last = [0; 4];
    }
    record.copy_to(&mut data[..record.captured]);
    end.copy_from_slice(&tail);
    if !comment.is_empty() {
        put_comment_option(comment, info.classes);
    }
}

/// Names of the known classes in a set.
fn class_names(classes: Classes) -> impl Iterator<Item = &'static str> {
    let mut rest = classes.0 & KNOWN_CLASSES;
    std::iter::from_fn(move || {
        let name = CLASS_NAMES.get(rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(*name)
    })
}

fn comment_length(classes: Classes) -> usize {
    let names: usize = class_names(classes).map(|name| name.len() + COMMENT_SEPARATOR.len()).sum();
    if names == 0 { 0 } else { COMMENT_PREFIX.len() + names - COMMENT_SEPARATOR.len() }
}

/// 0 when no known class is in the set.
fn comment_option_length(classes: Classes) -> usize {
    match comment_length(classes) {
        0 => 0,
        length => 4 + padded(length),
    }
}

/// Writes the comment option into `target`, which is [`comment_option_length`] long.
fn put_comment_option(target: &mut [u8], classes: Classes) {
    // The padding lies in the last four bytes.
    if let Some(last) = target.last_chunk_mut::<4>() {
        *last = [0; 4];
    }
    target[0..2].copy_from_slice(&option::COMMENT.to_le_bytes());
    target[2..4].copy_from_slice(&(comment_length(classes) as u16).to_le_bytes());
    let mut at = 4;
    let mut put = |text: &str| {
        target[at..at + text.len()].copy_from_slice(text.as_bytes());
        at += text.len();
    };
    put(COMMENT_PREFIX);
    for (number, name) in class_names(classes).enumerate() {
        if number > 0 {
            put(COMMENT_SEPARATOR);
        }
        put(name);
    }
}

/// A block that is put together off the hot path.
struct Block(Vec<u8>);

impl Block {
    fn new(kind: u32) -> Self {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0; 4]);
        Self(bytes)
    }

    fn with(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn option(mut self, code: u16, value: &[u8]) -> Self {
        self.0.extend(code.to_le_bytes());
        self.0.extend((value.len() as u16).to_le_bytes());
        self.0.extend(value);
        self.0.resize(padded(self.0.len()), 0);
        self
    }

    /// An option of text; left out when empty.
    fn text(self, code: u16, text: &str) -> Self {
        if text.is_empty() { self } else { self.option(code, clip(text, OPTION_LENGTH).as_bytes()) }
    }

    fn finish(mut self) -> Vec<u8> {
        self = self.option(option::END, &[]);
        let length = (self.0.len() as u32 + 4).to_le_bytes();
        self.0[4..8].copy_from_slice(&length);
        self.0.extend(length);
        self.0
    }
}

/// The longest prefix of at most so many bytes.
fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The section header. Unknown (empty) texts are left out.
pub(super) fn section_header(hardware: &str, os: &str, application: &str) -> Vec<u8> {
    Block::new(block::SECTION_HEADER)
        .with(&BYTE_ORDER_MAGIC.to_le_bytes())
        .with(&1_u16.to_le_bytes())
        .with(&0_u16.to_le_bytes())
        // Length of the section: not known in advance.
        .with(&u64::MAX.to_le_bytes())
        .text(option::SHB_HARDWARE, hardware)
        .text(option::SHB_OS, os)
        .text(option::SHB_APPLICATION, application)
        .finish()
}

/// The description of an interface.
pub(super) fn interface(name: &str, description: &str, filter: &str, snap_length: u32) -> Vec<u8> {
    let block = Block::new(block::INTERFACE_DESCRIPTION)
        .with(&LINKTYPE_ETHERNET.to_le_bytes())
        .with(&[0; 2])
        .with(&snap_length.to_le_bytes())
        .text(option::IF_NAME, name)
        .text(option::IF_DESCRIPTION, description)
        // Timestamps count 10⁻⁹ s.
        .option(option::IF_TIMESTAMP_RESOLUTION, &[9]);
    if filter.is_empty() {
        return block.finish();
    }
    // The first byte says that the filter is text.
    let filter = [&[0], clip(filter, FILTER_LENGTH).as_bytes()].concat();
    block.option(option::IF_FILTER, &filter).finish()
}

/// What a segment's end says of an interface.
pub(super) struct Statistics {
    pub interface: u32,
    /// First and last frame of the segment, in nanoseconds since 1970-01-01 UTC.
    pub start: u64,
    pub end: u64,
    pub received: u64,
    pub dropped: u64,
    pub delivered: u64,
}

/// The statistics of an interface.
pub(super) fn statistics(statistics: &Statistics) -> Vec<u8> {
    let time = |time: u64| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&((time >> 32) as u32).to_le_bytes());
        bytes[4..].copy_from_slice(&(time as u32).to_le_bytes());
        bytes
    };
    Block::new(block::INTERFACE_STATISTICS)
        .with(&statistics.interface.to_le_bytes())
        .with(&time(statistics.end))
        .option(option::ISB_START_TIME, &time(statistics.start))
        .option(option::ISB_END_TIME, &time(statistics.end))
        .option(option::ISB_RECEIVED, &statistics.received.to_le_bytes())
        .option(option::ISB_DROPPED, &statistics.dropped.to_le_bytes())
        .option(option::ISB_DELIVERED, &statistics.delivered.to_le_bytes())
        .finish()
}
