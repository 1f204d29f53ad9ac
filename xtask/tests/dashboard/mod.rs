//! What the dashboard's tests need besides the library.

pub mod catalogue;
pub mod idle;
pub mod promql;
pub mod yaml;
