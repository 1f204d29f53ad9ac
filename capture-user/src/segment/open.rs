//! The segment that a writer has open.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use capture_common::abi::MAX_INTERFACES;

use super::{name::SegmentName, settings::Format};

/// Names tried before giving up when the first is taken.
pub(super) const NAME_TRIES: usize = 1000;

/// A segment that is being written, under its hidden name.
pub(super) struct OpenSegment {
    file: File,
    path: PathBuf,
    name: SegmentName,
    /// Bytes of whole records; what lies past them in the file is to be cut.
    length: u64,
    /// Frames it holds.
    pub frames: u64,
    /// Frames it holds, by slot.
    pub delivered: [u64; MAX_INTERFACES as usize],
    /// Time of the latest frame it holds.
    pub last_timestamp: u64,
}

/// A complete segment, on its way to the publisher.
pub(super) struct Closed {
    pub file: File,
    /// Its hidden name.
    pub path: PathBuf,
    pub name: SegmentName,
    pub length: u64,
}

impl OpenSegment {
    /// Creates the file and writes what every segment begins with; leaves nothing on failure.
    pub fn create(
        directory: &Path,
        stream: &str,
        format: Format,
        first_frame: u64,
        header: &[u8],
    ) -> io::Result<Self> {
        let mut name = SegmentName::new(first_frame, stream, format);
        for _ in 0..NAME_TRIES {
            let path = directory.join(name.partial());
            let file = match create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    name = name.bumped();
                    continue;
                }
                file => file?,
            };
            let mut segment = Self {
                file,
                path,
                name,
                length: 0,
                frames: 0,
                delivered: [0; MAX_INTERFACES as usize],
                last_timestamp: 0,
            };
            let (written, error) = segment.write(header);
            return match error {
                None => {
                    segment.length = written as u64;
                    Ok(segment)
                }
                Some(error) => {
                    segment.discard();
                    Err(error)
                }
            };
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names for this moment are taken"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn first_frame(&self) -> u64 {
        self.name.first_frame()
    }

    /// Has somebody deleted the file? Then what is written to it is lost.
    pub fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Writes `bytes` behind the whole records: with one system call, unless the file system takes
    /// them in parts. Says how many it took, and why not all.
    pub fn write(&self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write_at(&bytes[written..], self.length + written as u64) {
                Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }

    /// Takes the first `bytes` of what was last written as whole records and, when `cut`, cuts off
    /// the rest. A cut that fails is made up for by the next write, which starts at the same
    /// place, or by the publisher.
    pub fn keep(&mut self, bytes: usize, cut: bool) {
        self.length += bytes as u64;
        if cut && let Err(error) = self.file.set_len(self.length) {
            log::warn!("{}: cannot cut a partial write: {error}", self.path.display());
        }
    }

    /// The segment is complete.
    pub fn close(self) -> Closed {
        Closed { file: self.file, path: self.path, name: self.name, length: self.length }
    }

    /// Deletes a segment that holds no frame.
    pub fn discard(self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("{}: cannot delete an empty segment: {error}", self.path.display());
        }
    }
}

/// Creates a file for the daemon's user to write and its group to read: packets are secrets.
fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)
}
