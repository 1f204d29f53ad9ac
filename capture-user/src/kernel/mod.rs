//! The kernel side as the daemon sees it: the loaded programs, their maps, their attachment.

mod attach;
mod batch;
mod filter;
mod object;
pub mod program;
mod ring;
mod tables;
mod test_clock;

pub use attach::{AttachError, AttachedInterface, EgressHook};
pub use batch::{Batch, Batches};
pub use filter::{FilterError, FilterLoader, LoadedFilter, Probe};
pub use object::{LoadError, Object, Settings};
pub use ring::FrameRing;
pub use tables::{TableError, Tables};
pub use test_clock::TestClock;
