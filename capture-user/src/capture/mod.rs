//! The capture threads: they take frames from the kernel and give them to a
//! [`FrameSink`](crate::frame::FrameSink).

pub mod clock;
pub mod mirror;
pub mod tap;
