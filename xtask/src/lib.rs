//! Set-up, lab, demo, tests and benchmark of captured.

pub mod dashboard;
pub mod lab;
