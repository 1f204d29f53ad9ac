//! How many segments are kept.

use std::{
    fs, io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{name::SegmentName, settings::Limits};
use crate::snapshot::SegmentsSnapshot;

/// What is in the segment directory, for the metrics. As old as the last look at the directory:
/// at most five seconds, or the time a flush to disk takes.
#[derive(Debug, Default)]
pub struct StoreStatus(Mutex<SegmentsSnapshot>);

impl StoreStatus {
    /// The published segments and what retention has deleted.
    #[must_use]
    pub fn snapshot(&self) -> SegmentsSnapshot {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut SegmentsSnapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A published segment.
struct Segment {
    name: SegmentName,
    bytes: u64,
}

/// Which limit a segment fell to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    Bytes,
    Count,
}

/// Deletes the oldest segments that the limits no longer allow and updates the status. Only
/// regular files with a name of ours are looked at.
pub(super) fn retain(directory: &Path, limits: Limits, status: &StoreStatus) {
    let segments = match list(directory) {
        Ok(segments) => segments,
        Err(error) => {
            log::error!("{}: cannot list the segments: {error}", directory.display());
            return;
        }
    };
    let mut kept: Vec<Segment> = Vec::with_capacity(segments.len());
    let (mut by_bytes, mut by_count) = (0, 0);
    let excess = excess(&segments, limits);
    for (segment, excess) in segments.into_iter().zip(excess) {
        let Some(excess) = excess else {
            kept.push(segment);
            continue;
        };
        match fs::remove_file(directory.join(segment.name.to_string())) {
            Ok(()) if excess == Excess::Bytes => by_bytes += 1,
            Ok(()) => by_count += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                log::error!("{}: cannot delete the segment: {error}", segment.name);
                kept.push(segment);
            }
        }
    }
    status.update(|status| {
        status.count = kept.len() as u64;
        status.bytes = kept.iter().map(|segment| segment.bytes).sum();
        status.oldest_frame = kept.first().map(|segment| segment.name.first_frame());
        status.deleted_by_bytes += by_bytes;
        status.deleted_by_count += by_count;
    });
}

/// For each segment, oldest first: the limit that it falls to. The newest falls to none.
fn excess(segments: &[Segment], limits: Limits) -> Vec<Option<Excess>> {
    let mut count = segments.len() as u64;
    let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let over = |value: u64, limit: Option<u64>| limit.is_some_and(|limit| value > limit);
    let mut verdicts = Vec::with_capacity(segments.len());
    for segment in segments {
        let verdict = match () {
            () if count <= 1 => None,
            () if over(count, limits.retain_count) => Some(Excess::Count),
            () if over(bytes, limits.retain_bytes) => Some(Excess::Bytes),
            () => None,
        };
        if verdict.is_none() {
            break;
        }
        count -= 1;
        bytes -= segment.bytes;
        verdicts.push(verdict);
    }
    verdicts.resize(segments.len(), None);
    verdicts
}

/// The published segments, oldest first.
fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().and_then(SegmentName::parse) else { continue };
        // Somebody may delete it while we look; what is no file of ours stays untouched.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            segments.push(Segment { name, bytes: metadata.len() });
        }
    }
    segments.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Format;

    fn segments(sizes: &[u64]) -> Vec<Segment> {
        let name = |at| SegmentName::new(at, "tap", Format::Pcapng);
        (0..).zip(sizes).map(|(at, &bytes)| Segment { name: name(at), bytes }).collect()
    }

    fn verdicts(sizes: &[u64], bytes: Option<u64>, count: Option<u64>) -> Vec<Option<Excess>> {
        let limits = Limits { retain_bytes: bytes, retain_count: count, ..Limits::default() };
        excess(&segments(sizes), limits)
    }

    #[test]
    fn the_oldest_fall_first_and_only_as_many_as_needed() {
        let (bytes, count) = (Some(Excess::Bytes), Some(Excess::Count));
        assert_eq!(verdicts(&[5, 5, 5], None, None), [None; 3]);
        assert_eq!(verdicts(&[5, 5, 5], Some(15), Some(3)), [None; 3]);
        assert_eq!(verdicts(&[5, 5, 5], Some(14), None), [bytes, None, None]);
        assert_eq!(verdicts(&[5, 5, 5], None, Some(1)), [count, count, None]);
        assert_eq!(verdicts(&[5, 5, 5], Some(5), Some(2)), [count, bytes, None]);
    }

    #[test]
    fn the_newest_stays() {
        assert_eq!(verdicts(&[], Some(0), Some(0)), []);
        assert_eq!(verdicts(&[9], Some(1), Some(0)), [None]);
        assert_eq!(verdicts(&[1, 9], Some(1), None), [Some(Excess::Bytes), None]);
    }
}
