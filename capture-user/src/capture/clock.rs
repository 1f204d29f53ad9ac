//! From the kernel programs' clock to the wall clock.
//!
//! `bpf_ktime_get_ns` stamps frames with `CLOCK_MONOTONIC`, which nobody sets and which therefore
//! orders frames rightly, but which counts from boot. A [`Clock`] holds what has to be added to
//! get the time of day. The offset is sampled again each second, so that a wall clock that is
//! disciplined or set is followed; frames stamped before a step but converted after it come out on
//! the new time. In a time namespace the two clocks have different origins and stamps are off by
//! the namespace's offset.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use nix::time::{ClockId, clock_gettime};

/// Samples taken for one offset; the tightest counts. Most samples are some tens of nanoseconds
/// wide, one that was interrupted is microseconds wide.
const SAMPLES: usize = 8;

/// The offset between `CLOCK_MONOTONIC` and `CLOCK_REALTIME`, shared by all capture threads.
#[derive(Debug)]
pub struct Clock {
    offset: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock with the offset of now.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self { offset: AtomicI64::new(0) };
        clock.resample();
        clock
    }

    /// Measures the offset again; the daemon calls this each second.
    pub fn resample(&self) {
        if let Some(offset) = tightest((0..SAMPLES).filter_map(|_| Sample::take())) {
            self.offset.store(offset, Relaxed);
        }
    }

    /// What [`to_unix`] adds, in nanoseconds; capture threads read it once per batch.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset.load(Relaxed)
    }

    /// Now, on the time scale of converted frames: nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now(&self) -> u64 {
        to_unix(monotonic().unwrap_or(0), self.offset())
    }
}

/// Converts a kernel time stamp (nanoseconds of `CLOCK_MONOTONIC`) to nanoseconds since
/// 1970-01-01 UTC, given a clock's [`offset`](Clock::offset). Saturates, whatever the arguments.
#[must_use]
pub const fn to_unix(monotonic: u64, offset: i64) -> u64 {
    monotonic.saturating_add_signed(offset)
}

/// `CLOCK_MONOTONIC` in nanoseconds. `None` never happens on a Linux with these clocks, but a
/// capture thread must not panic over it.
fn monotonic() -> Option<u64> {
    read(ClockId::CLOCK_MONOTONIC).and_then(|time| u64::try_from(time).ok())
}

fn read(clock: ClockId) -> Option<i64> {
    let time = clock_gettime(clock).ok()?;
    time.tv_sec().checked_mul(1_000_000_000)?.checked_add(time.tv_nsec())
}

/// The wall clock, read between two readings of the monotonic clock.
struct Sample {
    before: i64,
    wall: i64,
    after: i64,
}

impl Sample {
    fn take() -> Option<Self> {
        Some(Self {
            before: read(ClockId::CLOCK_MONOTONIC)?,
            wall: read(ClockId::CLOCK_REALTIME)?,
            after: read(ClockId::CLOCK_MONOTONIC)?,
        })
    }

    fn width(&self) -> i64 {
        self.after.saturating_sub(self.before)
    }

    fn offset(&self) -> i64 {
        self.wall.saturating_sub(self.before.saturating_add(self.width() / 2))
    }
}

fn tightest(samples: impl Iterator<Item = Sample>) -> Option<i64> {
    samples.min_by_key(Sample::width).map(|sample| sample.offset())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn now_is_the_time_of_day() {
        let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let clock = Clock::new();
        let (before, now, after) = (wall(), clock.now(), wall());
        // The clocks' rates differ by far less than a millisecond between the two samples.
        assert!(before - 1_000_000 < now && now < after + 1_000_000, "{before} {now} {after}");
    }

    #[test]
    fn resampling_follows_the_wall_clock() {
        let clock = Clock::new();
        let right = clock.offset();
        clock.offset.store(right - 3_600_000_000_000, Relaxed);
        clock.resample();
        assert!((clock.offset() - right).abs() < 1_000_000);
    }

    #[test]
    fn the_tightest_sample_counts() {
        let samples = [
            Sample { before: 0, wall: 1_000_900, after: 1_800 },
            Sample { before: 2_000, wall: 1_002_030, after: 2_040 },
            Sample { before: 3_000, wall: 1_009_000, after: 9_000 },
        ];
        assert_eq!(tightest(samples.into_iter()), Some(1_000_010));
        assert_eq!(tightest(std::iter::empty()), None);
    }

    #[test]
    fn conversion_saturates() {
        assert_eq!(to_unix(5, 7), 12);
        assert_eq!(to_unix(5, -7), 0);
        assert_eq!(to_unix(u64::MAX, i64::MAX), u64::MAX);
        assert_eq!(to_unix(0, i64::MIN), 0);
    }

    #[test]
    fn order_and_distances_survive() {
        let offset = Clock::new().offset();
        assert_eq!(to_unix(1_000_001, offset) - to_unix(1_000_000, offset), 1);
    }
}
