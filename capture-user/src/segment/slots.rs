//! The interfaces of one writer: what its segments say of them.

use std::fs;

use capture_common::abi::{Direction, MAX_INTERFACES};

use super::{
    MAX_SNAP_LENGTH, pcap, pcapng,
    settings::{Format, Live},
};
use crate::ledger::{Ledger, Loss};

const SLOTS: usize = MAX_INTERFACES as usize;

/// What segments say of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceDescription {
    /// Slot: the frames of the interface carry it. Below
    /// [`MAX_INTERFACES`](capture_common::abi::MAX_INTERFACES).
    pub slot: u8,
    /// Name in the system.
    pub name: String,
    /// For people, with the mode; empty for none.
    pub description: String,
    /// The capture filter in force; empty for none.
    pub filter: String,
    /// Most bytes of a frame that are captured here; 0 stands for the settings' snap length, which
    /// is also the upper bound.
    pub snap_length: u32,
}

/// Where a slot's frames go.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Number of the interface within a segment.
    pub interface: u32,
    pub snap_length: u32,
}

/// The interfaces of one writer, by slot and in the order of their numbers.
pub(super) struct Slots {
    by_slot: [Option<Slot>; SLOTS],
    interfaces: Vec<InterfaceDescription>,
}

impl Slots {
    /// Numbers the interfaces in the order given. One with a slot past the last, or with the slot
    /// of an earlier one, is left out and said so.
    pub fn new(interfaces: Vec<InterfaceDescription>, snap_length: u32) -> Self {
        let bound = |value: u32, most: u32| if value == 0 { most } else { value.min(most) };
        let most = bound(snap_length, MAX_SNAP_LENGTH);
        let mut slots = Self { by_slot: [None; SLOTS], interfaces: Vec::new() };
        for mut interface in interfaces {
            let Some(entry @ None) = slots.by_slot.get_mut(usize::from(interface.slot)) else {
                log::error!(
                    "{}: slot {} cannot be used twice or past the last, frames of this \
                     interface are not written",
                    interface.name,
                    interface.slot
                );
                continue;
            };
            interface.snap_length = bound(interface.snap_length, most);
            *entry = Some(Slot {
                interface: slots.interfaces.len() as u32,
                snap_length: interface.snap_length,
            });
            slots.interfaces.push(interface);
        }
        slots
    }

    /// The slot's interface; `None` when it is not one of this writer's.
    #[inline]
    pub fn get(&self, slot: u8) -> Option<Slot> {
        self.by_slot.get(usize::from(slot)).copied().flatten()
    }

    /// Takes over the filters in force. Did any differ?
    pub fn renew(&mut self, live: &Live) -> bool {
        let mut is_changed = false;
        for interface in &mut self.interfaces {
            if let Some(filter) = live.filter(interface.slot)
                && filter != interface.filter
            {
                interface.filter = filter;
                is_changed = true;
            }
        }
        is_changed
    }

    /// What a segment begins with.
    pub fn header(&self, format: Format) -> Vec<u8> {
        if format == Format::Pcap {
            let longest = self.interfaces.iter().map(|interface| interface.snap_length).max();
            return pcap::header(longest.unwrap_or(MAX_SNAP_LENGTH));
        }
        let application = concat!("captured ", env!("CARGO_PKG_VERSION"));
        let mut header = pcapng::section_header(&hardware(), &operating_system(), application);
        for i in &self.interfaces {
            header.extend(pcapng::interface(&i.name, &i.description, &i.filter, i.snap_length));
        }
        header
    }

    /// Bytes of the [`trailer`](Self::trailer).
    pub fn trailer_length(&self, format: Format) -> usize {
        match format {
            Format::Pcap => 0,
            Format::Pcapng => self.interfaces.len() * pcapng::STATISTICS_LENGTH,
        }
    }

    /// What a segment ends with, for frames from `start` to `end`. `delivered`: the frames of each
    /// slot that the segment holds.
    pub fn trailer(
        &self,
        format: Format,
        (start, end): (u64, u64),
        since: &LedgerTotals,
        ledger: &Ledger,
        delivered: &[u64; SLOTS],
    ) -> Vec<u8> {
        if format == Format::Pcap {
            return Vec::new();
        }
        let totals = LedgerTotals::new(self, ledger);
        let mut trailer = Vec::with_capacity(self.trailer_length(format));
        for (number, interface) in self.interfaces.iter().enumerate() {
            let written = totals.written[number].wrapping_sub(since.written[number]);
            let dropped = totals.lost[number].wrapping_sub(since.lost[number]);
            trailer.extend(pcapng::statistics(&pcapng::Statistics {
                interface: number as u32,
                start,
                end,
                received: written + dropped,
                dropped,
                delivered: delivered[usize::from(interface.slot)],
            }));
        }
        trailer
    }
}

/// The ledger at one moment, by number of the interface, both directions together.
///
/// An interface with several queues has several streams; the ledger and so these numbers are the
/// interface's, whatever the stream.
pub(super) struct LedgerTotals {
    written: Vec<u64>,
    lost: Vec<u64>,
}

impl LedgerTotals {
    pub fn new(slots: &Slots, ledger: &Ledger) -> Self {
        let lines = |slot: u8| Direction::ALL.map(|direction| ledger.line(slot, direction));
        let written = |slot: u8| lines(slot).iter().map(|line| line.written_frames()).sum();
        let lost = |slot: u8| {
            lines(slot).iter().flat_map(|line| Loss::ALL.map(|stage| line.lost_frames(stage))).sum()
        };
        Self {
            written: slots.interfaces.iter().map(|interface| written(interface.slot)).collect(),
            lost: slots.interfaces.iter().map(|interface| lost(interface.slot)).collect(),
        }
    }
}

/// The processor's name, as in /proc/cpuinfo; empty when it has none there.
fn hardware() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(String::new, |(_, name)| name.trim().into())
}

/// System, release and machine; empty when the kernel does not say.
fn operating_system() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| String::new(),
        |name| {
            [name.sysname(), name.release(), name.machine()]
                .map(|part| part.to_string_lossy())
                .join(" ")
        },
    )
}
