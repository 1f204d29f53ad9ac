//! The captured daemon: capture threads, segments, metrics, HTTP.

pub mod capture;
pub mod cli;
pub mod config;
pub mod frame;
pub mod http;
pub mod ledger;
pub mod metrics;
pub mod snapshot;
