//! What a crash left behind.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use super::{
    error::Error,
    name::SegmentName,
    publish::{make_durable, rename},
    walk::walk,
};

/// What became of a segment that was not closed.
#[derive(Debug)]
pub enum Recovered {
    /// It was cut after its last whole record and published.
    Published {
        /// The name that it now has.
        name: SegmentName,
        /// Frames in it.
        frames: u64,
        /// Bytes cut off.
        cut: u64,
    },
    /// It held no whole frame and was deleted.
    Dropped {
        /// The hidden name that it had.
        file_name: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// It could not be dealt with and stays where it is.
    Failed {
        /// Its hidden name.
        file_name: String,
        /// What the system said.
        error: io::Error,
    },
}

/// What recovery found and did.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// One for each segment that was not closed.
    pub segments: Vec<Recovered>,
}

/// Publishes the segments of a directory that a crash left half-written: each is cut after its
/// last whole record, or deleted when it holds no frame. Existing files are never overwritten. The
/// directory must be locked ([`prepare`](super::prepare)), and no writer may be at work.
///
/// # Errors
/// The directory cannot be listed. What fails for a single segment is in the report.
pub fn recover(directory: &Path) -> Result<RecoveryReport, Error> {
    let failed = |source| Error::ReadDirectory { path: directory.into(), source };
    let mut report = RecoveryReport::default();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { continue };
        let Some(name) = SegmentName::parse_partial(file_name) else { continue };
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let recovered = recover_file(directory, &entry.path(), file_name, &name)
            .unwrap_or_else(|error| Recovered::Failed { file_name: file_name.into(), error });
        report_to_log(file_name, &recovered);
        report.segments.push(recovered);
    }
    Ok(report)
}

fn recover_file(
    directory: &Path,
    path: &Path,
    file_name: &str,
    name: &SegmentName,
) -> io::Result<Recovered> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let bytes = file.metadata()?.len();
    let whole = walk(&file, name.format())?;
    if whole.frames == 0 {
        fs::remove_file(path)?;
        return Ok(Recovered::Dropped { file_name: file_name.into(), bytes });
    }
    make_durable(&file, whole.length)?;
    Ok(Recovered::Published {
        name: rename(directory, path, name)?,
        frames: whole.frames,
        cut: bytes.saturating_sub(whole.length),
    })
}

fn report_to_log(file_name: &str, recovered: &Recovered) {
    match recovered {
        Recovered::Published { name, frames, cut } => log::warn!(
            "{file_name}: was not closed; published as {name} with {frames} frames, {cut} bytes \
             of an unfinished record cut off"
        ),
        Recovered::Dropped { bytes, .. } => {
            log::warn!("{file_name}: was not closed and holds no frame in {bytes} bytes; deleted");
        }
        Recovered::Failed { error, .. } => log::error!(
            "{file_name}: was not closed and cannot be recovered: {error}; it stays as it is"
        ),
    }
}
