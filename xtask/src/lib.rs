//! Set-up, lab, demo, tests and benchmark of captured.

pub mod bench;
pub mod dashboard;
pub mod demo;
pub mod lab;
pub mod setup;
pub mod suite;
