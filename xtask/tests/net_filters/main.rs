//! Filters at work: beside tcpdump, changed under load, of trouble, and refused. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod beside_tcpdump;
mod made;
mod refused;
mod scene;
mod swap;
#[path = "../traffic/mod.rs"]
mod traffic;
mod trouble;

use std::sync::{Mutex, MutexGuard, PoisonError};

use xtask::lab::build;

/// Two cores: one loaded lab at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    build::captured().unwrap();
    alone
}
