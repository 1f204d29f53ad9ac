//! Reads a hash map many entries per system call.

use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    ptr,
};

use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, MapData, MapError},
};

use super::tables::TableError;

/// Entries that are asked for at a time: about 200 system calls for a million, and a buffer of about
/// a megabyte.
const CHUNK: usize = 4096;
/// The kernel hands out whole buckets. One that does not fit this many is no bucket.
const MOST: usize = 1 << 24;

/// Keys, and as many values: that of a key has its place.
pub type Batch<'a, K, V> = (&'a [K], &'a [V]);

/// A walk over a hash map, in the order of its buckets.
///
/// It has its own descriptor of the map, so nobody waits for it but, for the time that one bucket
/// takes to be copied, a program that adds an entry to this very bucket. Entries come and go
/// meanwhile: one that is there all the time is seen once, others once or not at all. (A key never
/// leaves its bucket, and no bucket is visited twice: `BPF_MAP_LOOKUP_BATCH`, Linux 5.6.) An entry
/// that a program is writing at this moment may be half old, half new.
pub struct Batches<K, V> {
    map: OwnedFd,
    name: &'static str,
    keys: Vec<K>,
    values: Vec<V>,
    chunk: usize,
    /// The kernel's token: where to go on.
    next: Option<u32>,
    is_over: bool,
}

impl<K: Pod + Default, V: Pod + Default> Batches<K, V> {
    /// Begins a walk; `name` is for errors.
    ///
    /// # Errors
    /// There is no room for another descriptor.
    pub(super) fn new(
        map: &HashMap<MapData, K, V>,
        name: &'static str,
    ) -> Result<Self, TableError> {
        // aya's `HashMap` has checked that the sizes of K and V are those of the map.
        let map = map.map().fd().as_fd().try_clone_to_owned().map_err(error(name))?;
        let (keys, values) = (Vec::new(), Vec::new());
        Ok(Self { map, name, keys, values, chunk: CHUNK, next: None, is_over: false })
    }

    /// The next entries; `None` after the last.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_, K, V>>, TableError> {
        while !self.is_over {
            self.keys.resize(self.chunk, K::default());
            self.values.resize(self.chunk, V::default());
            let (result, count) = self.look_up();
            match result.map_err(|error| (error.raw_os_error(), error)) {
                Ok(()) => {}
                // What came is the rest.
                Err((Some(libc::ENOENT), _)) => self.is_over = true,
                // A bucket that is larger than the buffer; nothing came.
                Err((Some(libc::ENOSPC), _)) if self.chunk < MOST => {
                    self.chunk *= 2;
                    continue;
                }
                Err((_, cause)) => return Err(error(self.name)(cause)),
            }
            if count > 0 {
                return Ok(Some((&self.keys[..count], &self.values[..count])));
            }
        }
        Ok(None)
    }

    /// Goes on to the end, with each entry.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn for_each(mut self, mut visit: impl FnMut(&K, &V)) -> Result<(), TableError> {
        while let Some((keys, values)) = self.next_batch()? {
            keys.iter().zip(values).for_each(|(key, value)| visit(key, value));
        }
        Ok(())
    }

    /// Goes on to the end and counts the entries.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn count(mut self) -> Result<u64, TableError> {
        let mut count = 0;
        while let Some((keys, _)) = self.next_batch()? {
            count += keys.len() as u64;
        }
        Ok(count)
    }

    /// One system call: fills the buffers, and says how many entries there are now in them.
    fn look_up(&mut self) -> (io::Result<()>, usize) {
        let room = self.keys.len().min(self.values.len());
        let mut count = u32::try_from(room).unwrap_or(u32::MAX);
        let mut here = self.next.unwrap_or(0);
        let from: *mut u32 = if self.next.is_some() { &raw mut here } else { ptr::null_mut() };
        let mut token = here;
        // SAFETY: the kernel reads a token of 32 bits, as the batches of hash maps have, from `from`
        // unless that is null, and writes one to `token`. It writes at most `count` keys and values of
        // the map's sizes, which are those of K and V, and both buffers hold as many, initialized
        // elements. Whatever it writes is valid, since both are `Pod`. It keeps none of the pointers.
        // No options are given, which libbpf takes for the defaults.
        let code = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                self.map.as_raw_fd(),
                from.cast::<c_void>(),
                (&raw mut token).cast::<c_void>(),
                self.keys.as_mut_ptr().cast::<c_void>(),
                self.values.as_mut_ptr().cast::<c_void>(),
                &raw mut count,
                ptr::null(),
            )
        };
        // libbpf 1 returns the negated error number.
        if code < 0 && code != -libc::ENOENT {
            return (Err(io::Error::from_raw_os_error(-code)), 0);
        }
        self.next = Some(token);
        let result = if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) };
        (result, room.min(count as usize))
    }
}

fn error(map: &'static str) -> impl Fn(io::Error) -> TableError {
    move |cause| TableError::read(map)(MapError::IoError(cause))
}
