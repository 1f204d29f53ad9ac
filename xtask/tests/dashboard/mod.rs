//! What the dashboard's tests need besides the library.

pub mod catalogue;
pub mod promql;
pub mod yaml;
