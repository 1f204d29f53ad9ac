//! Reading captures, and what is expected of them.

pub mod expected;
mod file;

pub use file::read;
