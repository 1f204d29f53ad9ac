//! The clock of the programs.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::map, maps::Array};

/// Not 0: the step sees the times that a test sets. Only `Object::load_with_test_clock` changes it,
/// before the programs are loaded.
///
/// The map that holds the object's read-only data is frozen by then, so the verifier takes the value
/// for a constant: of the branch in [`now`], only the side that is taken is left in the loaded
/// program. In production that is the kernel's clock.
#[unsafe(no_mangle)]
static TEST_CLOCK: u64 = 0;

/// The time that a test sets before each frame, in nanoseconds.
#[map]
static TEST_TIME: Array<u64> = Array::with_max_entries(1, 0);

/// Nanoseconds of `CLOCK_MONOTONIC`, or what a test says.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the static is initialised and only the loader changes it, before the program is
    // loaded; volatile, so that the compiler does not take the initial value for granted.
    let is_test = unsafe { (&raw const TEST_CLOCK).read_volatile() } != 0;
    if is_test {
        TEST_TIME.get(0).copied().unwrap_or(0)
    } else {
        // SAFETY: the helper has no requirements.
        unsafe { bpf_ktime_get_ns() }
    }
}
