//! Set-up, lab, demo, tests and benchmark of captured.

pub mod lab;
