//! The reader of the BPF ring buffer that carries frames in tap mode.
//!
//! The kernel maps three things for it: a page that holds the position up to which we have read, a
//! page that holds the position up to which the programs have written, and the data, twice in a row,
//! so that no record ends in the middle (Linux, Documentation/bpf/ringbuf.rst).
//!
//! aya has a reader too, which gives the space of each record back by itself. Each reservation in
//! the kernel looks at our position, so that its cache line then goes back and forth between two CPUs
//! for each frame. This one gives space back for many records at a time.

use std::{
    io,
    num::NonZeroUsize,
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    sync::atomic::{
        AtomicU32, AtomicUsize,
        Ordering::{Acquire, Release},
    },
};

use aya::maps::MapData;
use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::{SysconfVar, sysconf},
};

/// Length of the header in front of each record; records start at multiples of it.
const HEADER: usize = 8;
/// Bits of the length in the header: the record is being written; it is to be skipped.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Records after which their space is given back, if the reader does not run dry before.
const GIVE_BACK_AFTER: u32 = 64;

/// Pages of the ring buffer in our address space.
struct Mapping {
    start: NonNull<libc::c_void>,
    length: NonZeroUsize,
}

// SAFETY: a mapping belongs to the process and not to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(map: &MapData, offset: usize, length: usize, access: ProtFlags) -> io::Result<Self> {
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let offset = offset.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: no address is asked for, so nothing that is there is replaced.
        let start =
            unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, map.fd().as_fd(), offset) }?;
        Ok(Self { start, length })
    }

    /// The position at the start of the page.
    fn position(&self) -> &AtomicUsize {
        // SAFETY: the mapping is at least a page and starts on one, the kernel accesses the word
        // atomically only, and it lives as long as the mapping.
        unsafe { self.start.cast::<AtomicUsize>().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: we mapped it, and references to it do not outlive it.
        let _freed = unsafe { munmap(self.start, self.length.get()) };
    }
}

/// The one reader of the ring buffer.
pub struct FrameRing {
    map: MapData,
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    size: usize,
    /// Behind the record that was last returned.
    position: usize,
    /// The programs have written up to here, when we last looked.
    written: usize,
    /// Records since space was last given back.
    kept: u32,
}

impl FrameRing {
    pub(super) fn new(map: MapData) -> io::Result<Self> {
        let size = map.info().map_err(io::Error::other)?.max_entries() as usize;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|page| usize::try_from(page).ok());
        let page = page.ok_or(io::ErrorKind::Unsupported)?;
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let consumer = Mapping::new(&map, 0, page, both)?;
        let producer = Mapping::new(&map, page, page + 2 * size, ProtFlags::PROT_READ)?;
        let position = consumer.position().load(Acquire);
        Ok(Self { map, consumer, producer, page, size, position, written: position, kept: 0 })
    }

    /// The next record that is whole; `None` when there is none, and then all space has been given
    /// back.
    #[inline]
    pub fn next_record(&mut self) -> Option<&[u8]> {
        loop {
            if self.kept >= GIVE_BACK_AFTER {
                self.give_back();
            }
            if self.position == self.written {
                self.written = self.producer.position().load(Acquire);
            }
            let header = match self.position == self.written {
                true => BUSY,
                false => self.header().load(Acquire),
            };
            if header & BUSY != 0 {
                self.give_back();
                return None;
            }
            let length = (header & !DISCARDED) as usize;
            let start = self.offset() + HEADER;
            self.position += (HEADER + length).next_multiple_of(HEADER);
            self.kept += 1;
            if header & DISCARDED == 0 {
                return self.data(start, length);
            }
        }
    }

    /// Gives the space of all records that were returned back to the programs.
    fn give_back(&mut self) {
        if self.kept > 0 {
            self.consumer.position().store(self.position, Release);
            self.kept = 0;
        }
    }

    /// Where the next record's header is in the data.
    fn offset(&self) -> usize {
        self.position & (self.size - 1)
    }

    fn header(&self) -> &AtomicU32 {
        // SAFETY: the offset is below the size of the data, which follow the producer's page, and a
        // multiple of eight; the kernel writes this word atomically.
        unsafe { self.producer.start.byte_add(self.page + self.offset()).cast().as_ref() }
    }

    fn data(&self, start: usize, length: usize) -> Option<&[u8]> {
        // A record is never longer than the ring; the data are mapped twice.
        if start + length > 2 * self.size {
            return None;
        }
        // SAFETY: within the mapping, checked above. The kernel does not write to a record that is
        // not busy until its space is given back, which happens in the next call that takes self
        // mutably, so after the reference has ended.
        Some(unsafe {
            let start = self.producer.start.byte_add(self.page + start).cast::<u8>();
            std::slice::from_raw_parts(start.as_ptr(), length)
        })
    }
}

impl AsFd for FrameRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}
