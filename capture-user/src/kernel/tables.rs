//! The maps, behind the operations that the daemon needs.

use aya::{
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, XskMap},
    util::nr_cpus,
};
use capture_common::{
    abi::{Counters, Direction, FilterRules, InterfaceConfig, counters_index, names, socket_index},
    flow::{Conversation, FlowKey},
};

use super::object::Stages;

/// A map operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the map `{map}`")]
pub struct TableError {
    verb: &'static str,
    map: &'static str,
    source: MapError,
}

impl TableError {
    fn read(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self { verb: "read", map, source }
    }

    fn write(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self { verb: "write to", map, source }
    }
}

/// The maps of the loaded programs.
pub struct Tables {
    pub(super) interfaces: HashMap<MapData, u32, InterfaceConfig>,
    pub(super) counters: PerCpuArray<MapData, Counters>,
    pub(super) flows: HashMap<MapData, FlowKey, Conversation>,
    pub(super) filters: Array<MapData, FilterRules>,
    pub(super) sockets: XskMap<MapData>,
    pub(super) stages: Stages,
}

impl Tables {
    /// Tells the programs how to treat an interface, from the next frame on.
    ///
    /// # Errors
    /// The map is full (more than [`MAX_INTERFACES`](capture_common::abi::MAX_INTERFACES)).
    pub fn set_interface(
        &mut self,
        ifindex: u32,
        config: &InterfaceConfig,
    ) -> Result<(), TableError> {
        self.interfaces.insert(ifindex, config, 0).map_err(TableError::write(names::INTERFACES))
    }

    /// Makes the programs ignore an interface; one that they do not know is fine.
    ///
    /// # Errors
    /// The map could not be written.
    pub fn remove_interface(&mut self, ifindex: u32) -> Result<(), TableError> {
        match self.interfaces.remove(&ifindex) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(TableError::write(names::INTERFACES)(error)),
        }
    }

    /// Puts a filter into one of the two generations of an interface's slot, or takes the filter
    /// away (`None`: everything matches). The rules come into force when
    /// [`Tables::set_interface`] names the generation, so that no frame is matched against half of
    /// the old and half of the new ones.
    ///
    /// # Errors
    /// A map could not be written; the old filter stays in force.
    pub fn set_filter(
        &mut self,
        slot: u32,
        generation: u32,
        rules: Option<&FilterRules>,
    ) -> Result<(), TableError> {
        let stage = names::STAGE_FILTER_BASE + slot;
        let Some(rules) = rules else {
            clear(&mut self.stages.xdp, stage).map_err(TableError::write(names::XDP_STAGES))?;
            return clear(&mut self.stages.tc, stage).map_err(TableError::write(names::TC_STAGES));
        };
        self.filters
            .set(slot * 2 + (generation & 1), rules, 0)
            .map_err(TableError::write(names::FILTERS))?;
        let Stages { xdp, tc, xdp_filter, tc_filter } = &mut self.stages;
        xdp.set(stage, xdp_filter, 0).map_err(TableError::write(names::XDP_STAGES))?;
        tc.set(stage, tc_filter, 0).map_err(TableError::write(names::TC_STAGES))
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

    /// How many conversations the flow table holds. It walks the table: a system call for each.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn flow_count(&self) -> Result<u64, TableError> {
        // Entries come and go meanwhile; when the one that the walk stands on goes, the kernel
        // starts over, so the walk needs an end of its own.
        let mut count = 0;
        let limit = self.flow_capacity();
        for key in self.flows.keys() {
            key.map_err(TableError::read(names::FLOWS))?;
            count += 1;
            if count >= limit {
                break;
            }
        }
        Ok(count)
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

    fn flow_capacity(&self) -> u64 {
        use aya::maps::IterableMap as _;
        self.flows.map().info().map_or(u64::MAX, |info| u64::from(info.max_entries()))
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

/// Empties a slot; one that is empty already is fine.
fn clear(stages: &mut aya::maps::ProgramArray<MapData>, index: u32) -> Result<(), MapError> {
    match stages.clear_index(&index) {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_not_found(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound | MapError::ElementNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
