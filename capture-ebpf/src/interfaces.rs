//! Which interfaces are ours, and how they are to be treated.

use aya_ebpf::{macros::map, maps::HashMap};
use capture_common::abi::{InterfaceConfig, MAX_INTERFACES};

#[map]
static INTERFACES: HashMap<u32, InterfaceConfig> = HashMap::with_max_entries(MAX_INTERFACES, 0);

/// The configuration of an interface, if it is one of ours.
#[inline(always)]
pub fn get(ifindex: u32) -> Option<&'static InterfaceConfig> {
    // SAFETY: the daemon replaces whole elements, which the kernel does by RCU: the one that we
    // see does not change and lives at least until the program ends.
    unsafe { INTERFACES.get(ifindex) }
}
