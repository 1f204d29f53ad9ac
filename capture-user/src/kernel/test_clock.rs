//! The time that the programs see in tests.

use aya::maps::{Array, MapData};
use capture_common::abi::names;

use super::tables::TableError;

/// Sets the time of programs that were loaded by
/// [`Object::load_with_test_clock`](super::Object::load_with_test_clock).
pub struct TestClock {
    pub(super) time: Array<MapData, u64>,
}

impl TestClock {
    /// It is `nanoseconds` now, until the next call.
    ///
    /// # Errors
    /// The map could not be written.
    pub fn set(&mut self, nanoseconds: u64) -> Result<(), TableError> {
        self.time.set(0, nanoseconds, 0).map_err(TableError::write(names::TEST_TIME))
    }
}
