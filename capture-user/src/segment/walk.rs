//! How much of a file that may be damaged is whole records of ours.
//!
//! Strict on purpose: what the writer would not have written ends the walk, so that what is kept
//! is read by every reader without a complaint.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use super::{
    MAX_SNAP_LENGTH, pcap,
    pcapng::{self, BYTE_ORDER_MAGIC, PACKET_HEADER, block, option, padded},
    settings::Format,
};

/// Longest block: a frame, or texts, with room to spare.
const MAX_BLOCK: usize = MAX_SNAP_LENGTH as usize + 65_536;

/// The whole records at the beginning of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// Bytes.
    pub length: u64,
    /// Frames in them.
    pub frames: u64,
}

/// Walks a file from its beginning.
///
/// # Errors
/// The file cannot be read; its end is no error.
pub(super) fn walk(file: &File, format: Format) -> io::Result<Whole> {
    let reader = BufReader::with_capacity(256 * 1024, file);
    match format {
        Format::Pcapng => walk_pcapng(reader),
        Format::Pcap => walk_pcap(reader),
    }
}

/// Fills `to`; `false` at the end of the file.
fn fill(reader: &mut impl Read, to: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(to) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| true),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn walk_pcapng(mut reader: impl Read) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut interfaces = 0;
    let mut bytes = Vec::with_capacity(MAX_BLOCK);
    loop {
        bytes.resize(8, 0);
        if !fill(&mut reader, &mut bytes)? {
            return Ok(whole);
        }
        let length = u32_at(&bytes, 4).unwrap_or(0) as usize;
        if length < 12 || !length.is_multiple_of(4) || length > MAX_BLOCK {
            return Ok(whole);
        }
        bytes.resize(length, 0);
        if !fill(&mut reader, &mut bytes[8..])? {
            return Ok(whole);
        }
        match check_block(&bytes, whole.length == 0, interfaces) {
            Some(block::INTERFACE_DESCRIPTION) => interfaces += 1,
            Some(block::ENHANCED_PACKET) => whole.frames += 1,
            Some(_) => {}
            None => return Ok(whole),
        }
        whole.length += length as u64;
    }
}

/// Type of a block, if it is one of ours in its place: the section header is the `first` and no
/// other.
fn check_block(bytes: &[u8], first: bool, interfaces: u32) -> Option<u32> {
    let kind = u32_at(bytes, 0)?;
    let end = bytes.len() - 4;
    if u32_at(bytes, end)? as usize != bytes.len() || first != (kind == block::SECTION_HEADER) {
        return None;
    }
    let options = match kind {
        block::SECTION_HEADER => {
            let ours = u32_at(bytes, 8)? == BYTE_ORDER_MAGIC && u16_at(bytes, 12)? == 1;
            ours.then_some(24)?
        }
        block::INTERFACE_DESCRIPTION => {
            (u16_at(bytes, 8)? == pcap::LINKTYPE_ETHERNET).then_some(16)?
        }
        block::ENHANCED_PACKET => {
            let (captured, original) = (u32_at(bytes, 20)?, u32_at(bytes, 24)?);
            let ours = u32_at(bytes, 8)? < interfaces
                && captured <= MAX_SNAP_LENGTH
                && captured <= original
                && original > 0;
            ours.then_some(PACKET_HEADER + padded(captured as usize))?
        }
        block::INTERFACE_STATISTICS => (u32_at(bytes, 8)? < interfaces).then_some(20)?,
        _ => return None,
    };
    check_options(kind, bytes.get(options..end)?)?;
    Some(kind)
}

/// Are these options that the writer puts into such a block?
fn check_options(kind: u32, mut options: &[u8]) -> Option<()> {
    loop {
        let (code, length) = (u16_at(options, 0)?, usize::from(u16_at(options, 2)?));
        let value = options.get(4..4 + length)?;
        let ours = match (kind, code) {
            (_, option::END) => return (length == 0 && options.len() == 4).then_some(()),
            (block::ENHANCED_PACKET, option::COMMENT)
            | (block::SECTION_HEADER, option::SHB_HARDWARE..=option::SHB_APPLICATION)
            | (block::INTERFACE_DESCRIPTION, option::IF_NAME | option::IF_DESCRIPTION) => {
                str::from_utf8(value).is_ok()
            }
            (block::ENHANCED_PACKET, option::EPB_FLAGS) => length == 4,
            (block::INTERFACE_DESCRIPTION, option::IF_TIMESTAMP_RESOLUTION) => value == [9],
            (block::INTERFACE_DESCRIPTION, option::IF_FILTER) => value.first() == Some(&0),
            (block::INTERFACE_STATISTICS, option::ISB_START_TIME..=option::ISB_DELIVERED) => {
                length == 8
            }
            _ => false,
        };
        if !ours {
            return None;
        }
        options = options.get(4 + pcapng::padded(length)..)?;
    }
}

fn walk_pcap(mut reader: impl Read) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut header = [0; pcap::HEADER_LENGTH];
    if !fill(&mut reader, &mut header)? {
        return Ok(whole);
    }
    let snap_length = u32_at(&header, 16).unwrap_or(0);
    if snap_length > MAX_SNAP_LENGTH || header[..] != pcap::header(snap_length)[..] {
        return Ok(whole);
    }
    whole.length = header.len() as u64;
    let mut data = Vec::new();
    let mut head = [0; pcap::RECORD_HEADER];
    while fill(&mut reader, &mut head)? {
        let field = |number: usize| u32_at(&head, number * 4).unwrap_or(0);
        let (nanoseconds, captured, original) = (field(1), field(2), field(3));
        // A file's tail of zeros, as a crash leaves it, is no frame: no frame is empty.
        if nanoseconds >= 1_000_000_000 || captured > snap_length.min(original) || original == 0 {
            break;
        }
        data.resize(captured as usize, 0);
        if !fill(&mut reader, &mut data)? {
            break;
        }
        whole.frames += 1;
        whole.length += (head.len() + data.len()) as u64;
    }
    Ok(whole)
}
