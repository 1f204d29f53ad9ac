//! The captured daemon: capture threads, segments, metrics, HTTP.

pub mod capture;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod daemon;
pub mod diagnosis;
pub mod filter;
pub mod flows;
pub mod frame;
pub mod host;
pub mod http;
pub mod kernel;
pub mod ledger;
pub mod metrics;
pub mod segment;
pub mod snapshot;

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
