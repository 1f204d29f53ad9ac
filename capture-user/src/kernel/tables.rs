//! The maps, behind the operations that the daemon needs.

use aya::{
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, XskMap},
    util::nr_cpus,
};
use capture_common::{
    abi::{
        Counters, Direction, INTERFACE_PLACES, INTERFACE_PROBES, InterfaceConfig, InterfaceEntry,
        counters_index, interface_place, names, socket_index,
    },
    flow::{Conversation, FlowKey, Trouble, TroubleKey},
};

use super::{batch::Batches, object::Stages};

/// A map operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the map `{map}`")]
pub struct TableError {
    verb: &'static str,
    map: &'static str,
    source: MapError,
}

impl TableError {
    pub(super) fn read(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self { verb: "read", map, source }
    }

    pub(super) fn write(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self { verb: "write to", map, source }
    }
}

/// The maps of the loaded programs.
pub struct Tables {
    pub(super) interfaces: Array<MapData, InterfaceEntry>,
    pub(super) counters: PerCpuArray<MapData, Counters>,
    pub(super) flows: HashMap<MapData, FlowKey, Conversation>,
    pub(super) trouble: HashMap<MapData, TroubleKey, Trouble>,
    pub(super) sockets: XskMap<MapData>,
    pub(super) stages: Stages,
}

impl Tables {
    /// Tells the programs how to treat an interface, from the next frame on.
    ///
    /// # Errors
    /// The map could not be written; or all places for this index are taken, which takes five
    /// interfaces whose indices differ by multiples of 1,024 or nearly so.
    pub fn set_interface(
        &mut self,
        ifindex: u32,
        config: &InterfaceConfig,
    ) -> Result<(), TableError> {
        let place = self.place(ifindex)?.ok_or_else(|| {
            TableError::write(names::INTERFACES)(MapError::OutOfBounds {
                index: interface_place(ifindex, INTERFACE_PROBES),
                max_entries: INTERFACE_PLACES,
            })
        })?;
        let is_new = self.entry(place)?.ifindex == 0;
        // An entry that is not named yet is not used: it gets its index when all else is there.
        let steps: &[u32] = if is_new { &[0, ifindex] } else { &[ifindex] };
        for &ifindex in steps {
            let entry = InterfaceEntry { ifindex, config: *config };
            self.interfaces.set(place, entry, 0).map_err(TableError::write(names::INTERFACES))?;
        }
        Ok(())
    }

    /// Makes the programs ignore an interface; one that they do not know is fine.
    ///
    /// # Errors
    /// The map could not be read or written.
    pub fn remove_interface(&mut self, ifindex: u32) -> Result<(), TableError> {
        let Some(place) = self.place(ifindex)? else { return Ok(()) };
        let entry = self.entry(place)?;
        if entry.ifindex != ifindex {
            return Ok(());
        }
        let entry = InterfaceEntry { ifindex: 0, ..entry };
        self.interfaces.set(place, entry, 0).map_err(TableError::write(names::INTERFACES))
    }

    /// The place of an interface that is in the table, or else the first free one for it.
    fn place(&self, ifindex: u32) -> Result<Option<u32>, TableError> {
        let mut free = None;
        for probe in 0..INTERFACE_PROBES {
            let place = interface_place(ifindex, probe);
            match self.entry(place)?.ifindex {
                found if found == ifindex => return Ok(Some(place)),
                0 => free = free.or(Some(place)),
                _ => {}
            }
        }
        Ok(free)
    }

    fn entry(&self, place: u32) -> Result<InterfaceEntry, TableError> {
        self.interfaces.get(&place, 0).map_err(TableError::read(names::INTERFACES))
    }

    /// Publishes the AF_XDP socket of a queue: from the next frame on it gets the queue's frames.
    ///
    /// # Errors
    /// The socket is not bound, or not to this queue.
    pub fn publish_socket(
        &mut self,
        slot: u32,
        queue: u32,
        socket: impl std::os::fd::AsRawFd,
    ) -> Result<(), TableError> {
        self.sockets
            .set(socket_index(slot, queue), socket, 0)
            .map_err(TableError::write(names::SOCKETS))
    }

    /// Takes the socket of a queue away: its frames pass from the next on.
    ///
    /// # Errors
    /// The map could not be written.
    pub fn withdraw_socket(&mut self, slot: u32, queue: u32) -> Result<(), TableError> {
        match self.sockets.unset(socket_index(slot, queue)) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(TableError::write(names::SOCKETS)(error)),
        }
    }

    /// The counters of an interface's slot and direction, summed over all CPUs.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn counters(&self, slot: u32, direction: Direction) -> Result<Counters, TableError> {
        let per_cpu = self
            .counters
            .get(&counters_index(slot, direction), 0)
            .map_err(TableError::read(names::COUNTERS))?;
        let mut sum = Counters::ZERO;
        per_cpu.iter().for_each(|counters| sum.add(counters));
        Ok(sum)
    }

    /// A walk over all conversations. Nothing else waits for it, the lock on these tables included.
    ///
    /// # Errors
    /// There is no room for another descriptor.
    pub fn flow_batches(&self) -> Result<Batches<FlowKey, Conversation>, TableError> {
        Batches::new(&self.flows, names::FLOWS)
    }

    /// A walk over all that went wrong; as [`Tables::flow_batches`].
    ///
    /// # Errors
    /// There is no room for another descriptor.
    pub fn trouble_batches(&self) -> Result<Batches<TroubleKey, Trouble>, TableError> {
        Batches::new(&self.trouble, names::TROUBLE)
    }

    /// How many conversations the flow table holds. It walks the table.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn flow_count(&self) -> Result<u64, TableError> {
        self.flow_batches()?.count()
    }

    /// The conversation with a key, if the table holds it.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn flow(&self, key: &FlowKey) -> Result<Option<Conversation>, TableError> {
        match self.flows.get(key, 0) {
            Ok(conversation) => Ok(Some(conversation)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(TableError::read(names::FLOWS)(error)),
        }
    }

    /// What went wrong in the conversation with a key, if anything did.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn trouble(&self, key: &TroubleKey) -> Result<Option<Trouble>, TableError> {
        match self.trouble.get(key, 0) {
            Ok(trouble) => Ok(Some(trouble)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(TableError::read(names::TROUBLE)(error)),
        }
    }

    /// How many conversations the flow table holds at most.
    ///
    /// # Errors
    /// The kernel did not tell.
    pub fn flows_limit(&self) -> Result<u64, TableError> {
        use aya::maps::IterableMap as _;
        let info = self.flows.map().info().map_err(TableError::read(names::FLOWS))?;
        Ok(info.max_entries().into())
    }

    /// Sets all counters of a slot to zero; for an interface that takes over a slot.
    ///
    /// # Errors
    /// The map could not be written.
    pub fn clear_counters(&mut self, slot: u32) -> Result<(), TableError> {
        let cpus = nr_cpus().unwrap_or(1);
        for direction in Direction::ALL {
            let zeros = aya::maps::PerCpuValues::try_from(vec![Counters::ZERO; cpus])
                .map_err(|error| TableError::write(names::COUNTERS)(MapError::IoError(error)))?;
            self.counters
                .set(counters_index(slot, direction), zeros, 0)
                .map_err(TableError::write(names::COUNTERS))?;
        }
        Ok(())
    }
}

fn is_not_found(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound | MapError::ElementNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
