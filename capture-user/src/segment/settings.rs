//! What the configuration says about segments.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// File format of segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// pcapng: interface, direction, classes and losses travel with the frames.
    #[default]
    Pcapng,
    /// pcap with nanosecond timestamps, for tools that read nothing else.
    Pcap,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pcapng, Self::Pcap];

    /// Extension of the file name, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Pcapng => "pcapng",
            Self::Pcap => "pcap",
        }
    }
}

/// Where and how segments are written and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The segment directory; one daemon at a time may use it.
    pub directory: PathBuf,
    /// File format.
    pub format: Format,
    /// Largest size of a segment in bytes. A segment is larger only when it holds a single frame
    /// that does not fit. `None`: no limit.
    pub rotate_bytes: Option<u64>,
    /// Longest time from a segment's first frame to its end. `None`: no limit.
    pub rotate_after: Option<Duration>,
    /// Most bytes of all published segments together; the oldest are deleted, the newest never.
    /// Segments being written come on top. `None`: no limit.
    pub retain_bytes: Option<u64>,
    /// Most published segments; the oldest are deleted, the newest never. `None`: no limit.
    pub retain_count: Option<u64>,
    /// Most bytes of a frame that are written; 0 stands for [`MAX_SNAP_LENGTH`], which is also
    /// the upper bound.
    ///
    /// [`MAX_SNAP_LENGTH`]: super::MAX_SNAP_LENGTH
    pub snap_length: u32,
}

impl Settings {
    /// The part that can change while the daemon runs.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            rotate_bytes: self.rotate_bytes,
            rotate_after: self.rotate_after,
            retain_bytes: self.retain_bytes,
            retain_count: self.retain_count,
        }
    }
}

/// The part of the [`Settings`] that can change while the daemon runs; see there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Largest size of a segment in bytes.
    pub rotate_bytes: Option<u64>,
    /// Longest time from a segment's first frame to its end.
    pub rotate_after: Option<Duration>,
    /// Most bytes of all published segments together.
    pub retain_bytes: Option<u64>,
    /// Most published segments.
    pub retain_count: Option<u64>,
}

/// What is replaced under running writers: the limits, and the filters that their segments name.
///
/// Writers look at the generation, one load for each frame and [`tick`], and take a lock only after
/// it has changed.
///
/// [`tick`]: crate::frame::FrameSink::tick
#[derive(Debug)]
pub struct Live {
    generation: AtomicU64,
    limits: Mutex<Limits>,
    /// By slot; a slot without an entry has the filter that its writers began with.
    filters: Mutex<BTreeMap<u8, String>>,
}

impl Live {
    /// Starts with these limits.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        let filters = Mutex::new(BTreeMap::new());
        Self { generation: AtomicU64::new(0), limits: Mutex::new(limits), filters }
    }

    /// Puts new limits in force.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot's interface has another filter from now on.
    pub fn set_filter(&self, slot: u8, filter: String) {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner).insert(slot, filter);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The slot's filter, if it was ever set.
    pub(super) fn filter(&self, slot: u8) -> Option<String> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned()
    }

    /// Changes whenever anything else does.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
