//! Which interfaces are ours, and how they are to be treated.

use aya_ebpf::{macros::map, maps::Array};
use capture_common::abi::{
    INTERFACE_PLACES, INTERFACE_PROBES, InterfaceConfig, InterfaceEntry, interface_place,
};

#[map]
static INTERFACES: Array<InterfaceEntry> = Array::with_max_entries(INTERFACE_PLACES, 0);

/// The configuration of an interface, if it is one of ours.
///
/// The daemon changes entries under running programs; each field is read and written whole, and an
/// entry gets its index last and loses it first.
#[inline(always)]
pub fn get(ifindex: u32) -> Option<&'static InterfaceConfig> {
    for probe in 0..INTERFACE_PROBES {
        let entry = INTERFACES.get(interface_place(ifindex, probe))?;
        if entry.ifindex == ifindex {
            return Some(&entry.config);
        }
    }
    None
}
