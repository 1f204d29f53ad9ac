//! The types that cross the boundary between kernel and user space.
//!
//! All of them are `repr(C)` with explicit padding and without `bool`, `enum` or `Option`, so that
//! every bit pattern is a valid value; their sizes are asserted at compile time.

mod counters;
mod frame;
mod interface;
pub mod names;
mod scratch;
mod vary;

pub use counters::{Counters, KernelLoss, counters_index};
pub use frame::{Direction, FRAME_HEADER_MAGIC, FrameHeader};
pub use interface::{
    INTERFACE_PLACES, INTERFACE_PROBES, InterfaceConfig, InterfaceEntry, MAX_INTERFACES,
    MAX_QUEUES, Mode, interface_flags, interface_place, socket_index,
};
pub use scratch::{Scratch, innermost};
pub use vary::Vary;
