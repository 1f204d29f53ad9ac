//! Segments: the files that captured frames end up in.
//!
//! Each capture thread owns a [`SegmentWriter`], which encodes frames into a buffer that goes out
//! with one `write(2)` at a time. A segment grows under a hidden name and is handed, when it is
//! complete, to the [`Publisher`]: a thread that makes it durable, gives it its name and deletes
//! the oldest segments that the limits no longer allow. Whoever reads the directory sees whole
//! files only, and capture never waits for a disk to flush.
//!
//! ```text
//! capture thread ── SegmentWriter ──▶ .captured_<time>_<stream>.pcapng.partial
//!                        │ complete
//!                        ▼
//!                    Publisher ──▶ captured_<time>_<stream>.pcapng ──▶ retention
//! ```
//!
//! [`Store`] puts the parts together: it takes the directory for itself, publishes what a crash
//! left behind and starts the publisher.

mod buffer;
mod directory;
mod error;
mod name;
mod open;
mod pcap;
mod pcapng;
mod publish;
mod record;
mod recover;
mod retain;
mod settings;
mod slots;
mod store;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

pub use directory::{DirectoryLock, prepare};
pub use error::Error;
pub use name::SegmentName;
pub use publish::{PublishQueue, Publisher};
pub use recover::{Recovered, RecoveryReport, recover};
pub use retain::StoreStatus;
pub use settings::{Format, Limits, Live, Settings};
pub use slots::InterfaceDescription;
pub use store::Store;
pub use writer::SegmentWriter;

/// Most bytes of a frame that a segment holds, whatever the snap length: the largest record that
/// Wireshark and libpcap accept.
pub const MAX_SNAP_LENGTH: u32 = 262_144;
