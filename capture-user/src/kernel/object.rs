//! Loading the eBPF object: programs, maps, and the wiring of the stages.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Array, Map, MapData, MapError, PerCpuArray, ProgramArray},
    programs::{Program, ProgramError, ProgramFd, SchedClassifier, Xdp},
    util::nr_cpus,
};
use capture_common::abi::{Vary, names};

use super::{
    filter::{FilterLoader, HookMaps},
    ring::FrameRing,
    tables::Tables,
    test_clock::TestClock,
};

/// The object that `build.rs` made of `capture-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/captured"));

/// Sizes that are fixed when the programs are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Entries of the flow table.
    pub flows: u32,
    /// Bytes of the ring buffer of tap mode: a power of two, a multiple of the page size.
    pub ring_bytes: u32,
}

impl Settings {
    /// Entries of the table of conversations in trouble: they are few, or the network is past help.
    const fn troubled_flows(&self) -> u32 {
        if self.flows / 16 > 4096 { self.flows / 16 } else { 4096 }
    }
}

/// Why the programs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object as a whole: maps could not be made.
    #[error("cannot create the maps of the eBPF programs")]
    Object(#[source] EbpfError),
    /// The verifier or the kernel refused a program.
    #[error("cannot load the eBPF program `{program}`")]
    Program {
        /// Its name.
        program: &'static str,
        /// The kernel's words.
        #[source]
        source: ProgramError,
    },
    /// Something that the object should have is not in it: a broken build.
    #[error("the eBPF object has no {kind} `{name}`: it does not fit this daemon, build it anew")]
    Missing {
        /// "program" or "map".
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The ring buffer cannot be mapped.
    #[error("cannot map the ring buffer `{name}`")]
    Ring {
        /// Its name.
        name: &'static str,
        /// The kernel's words.
        #[source]
        source: io::Error,
    },
    /// A map is not what the daemon takes it for, or could not be filled.
    #[error("cannot use the map `{name}`")]
    Map {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        #[source]
        source: MapError,
    },
}

impl LoadError {
    /// Did the kernel say that we may not?
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<std::io::Error>()
                && error.kind() == std::io::ErrorKind::PermissionDenied
            {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// The loaded programs. Dropping it unloads them, unless they are still attached.
pub struct Object {
    ebpf: Ebpf,
}

impl Object {
    /// Creates the maps, loads all programs and wires their stages; attaches nothing.
    ///
    /// # Errors
    /// See [`LoadError`]; nothing stays behind.
    pub fn load(settings: &Settings) -> Result<(Self, Tables), LoadError> {
        Self::load_with(settings, 0)
    }

    /// As [`Object::load`], but the programs see the times that are set on the clock: for tests
    /// that feed frames together with the times at which they were captured.
    ///
    /// # Errors
    /// As [`Object::load`].
    pub fn load_with_test_clock(
        settings: &Settings,
    ) -> Result<(Self, Tables, TestClock), LoadError> {
        let (mut object, tables) = Self::load_with(settings, 1)?;
        let clock = TestClock { time: take(&mut object.ebpf, names::TEST_TIME)? };
        Ok((object, tables, clock))
    }

    fn load_with(settings: &Settings, test_clock: u64) -> Result<(Self, Tables), LoadError> {
        // All CPUs together fill a quarter of the ring before one of them wakes its reader.
        let cpus = nr_cpus().unwrap_or(1) as u64;
        let wake_every = u64::from(settings.ring_bytes) / 4 / cpus.max(1);
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(names::FLOWS, settings.flows)
            .map_max_entries(names::TROUBLE, settings.troubled_flows())
            .map_max_entries(names::FRAMES, settings.ring_bytes)
            .override_global("WAKE_EVERY", &wake_every, true)
            .override_global(names::TEST_CLOCK, &test_clock, true)
            .load(OBJECT)
            .map_err(LoadError::Object)?;
        for name in [names::XDP_INGRESS, names::XDP_DELIVER, names::XDP_DELIVER_TROUBLED] {
            xdp(&mut ebpf, name)?
                .load()
                .map_err(|source| LoadError::Program { program: name, source })?;
        }
        for name in [names::TC_EGRESS, names::TC_DELIVER, names::TC_DELIVER_TROUBLED] {
            classifier(&mut ebpf, name)?
                .load()
                .map_err(|source| LoadError::Program { program: name, source })?;
        }
        let stages = Stages::new(&mut ebpf)?;
        let tables = Tables {
            interfaces: take(&mut ebpf, names::INTERFACES)?,
            counters: take(&mut ebpf, names::COUNTERS)?,
            flows: take(&mut ebpf, names::FLOWS)?,
            trouble: take(&mut ebpf, names::TROUBLE)?,
            sockets: take(&mut ebpf, names::SOCKETS)?,
            stages,
        };
        Ok((Self { ebpf }, tables))
    }

    /// The reader of the ring buffer of tap mode; there is one, so it can be taken once.
    ///
    /// # Errors
    /// It was taken before, or cannot be mapped.
    pub fn take_frames(&mut self) -> Result<FrameRing, LoadError> {
        let name = names::FRAMES;
        match self.ebpf.take_map(name) {
            Some(Map::RingBuf(map)) => {
                FrameRing::new(map).map_err(|source| LoadError::Ring { name, source })
            }
            _ => Err(LoadError::Missing { kind: "map", name }),
        }
    }

    /// The per-CPU scratch of one of the hooks, by name; for tests that look at what the programs
    /// found in a frame.
    ///
    /// # Errors
    /// There is no such map, or it was taken before.
    pub fn take_scratch(
        &mut self,
        name: &'static str,
    ) -> Result<PerCpuArray<MapData, capture_common::abi::Scratch>, LoadError> {
        take(&mut self.ebpf, name)
    }

    /// An XDP program of the object.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, LoadError> {
        xdp(&mut self.ebpf, name)
    }

    /// A tc program of the object.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, LoadError> {
        classifier(&mut self.ebpf, name)
    }

    /// Loads the program that calls `ingress` with frames of many conversations, for benchmarks and
    /// tests; returns what it is told by, and where the ingress program is called from.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_vary(
        &mut self,
    ) -> Result<(Array<MapData, Vary>, ProgramArray<MapData>), LoadError> {
        let name = names::XDP_VARY;
        xdp(&mut self.ebpf, name)?
            .load()
            .map_err(|source| LoadError::Program { program: name, source })?;
        Ok((take(&mut self.ebpf, names::VARY)?, take(&mut self.ebpf, names::VARIED)?))
    }

    /// A descriptor of the ingress program.
    ///
    /// # Errors
    /// It is not loaded.
    pub fn ingress(&mut self) -> Result<ProgramFd, LoadError> {
        program_fd(&mut self.ebpf, names::XDP_INGRESS)
    }

    /// For reading the programs' log messages.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

/// The tail calls of both hooks. The kernel empties a program array when the last descriptor of it
/// closes, so they must live as long as the attachment.
pub(super) struct Stages {
    pub loader: FilterLoader,
}

impl Stages {
    /// Puts the deliver programs into their slots. The filter slots stay empty: everything matches.
    fn new(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        let xdp_stages = map_descriptor(ebpf, names::XDP_STAGES)?;
        let tc_stages = map_descriptor(ebpf, names::TC_STAGES)?;
        let mut xdp: ProgramArray<MapData> = take(ebpf, names::XDP_STAGES)?;
        let mut tc: ProgramArray<MapData> = take(ebpf, names::TC_STAGES)?;
        let slots = [
            (names::STAGE_DELIVER, names::XDP_DELIVER, names::TC_DELIVER),
            (
                names::STAGE_DELIVER_TROUBLED,
                names::XDP_DELIVER_TROUBLED,
                names::TC_DELIVER_TROUBLED,
            ),
        ];
        for (slot, xdp_name, tc_name) in slots {
            xdp.set(slot, &program_fd(ebpf, xdp_name)?, 0)
                .map_err(|source| LoadError::Map { name: names::XDP_STAGES, source })?;
            tc.set(slot, &program_fd(ebpf, tc_name)?, 0)
                .map_err(|source| LoadError::Map { name: names::TC_STAGES, source })?;
        }
        let loader = FilterLoader {
            xdp: Arc::new(HookMaps {
                stages: xdp_stages,
                scratch: map_descriptor(ebpf, names::XDP_SCRATCH)?,
            }),
            tc: Arc::new(HookMaps {
                stages: tc_stages,
                scratch: map_descriptor(ebpf, names::TC_SCRATCH)?,
            }),
        };
        Ok(Self { loader })
    }
}

/// Another descriptor of a map that nobody has taken yet.
fn map_descriptor(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, LoadError> {
    let Some(Map::PerCpuArray(map) | Map::ProgramArray(map)) = ebpf.map(name) else {
        return Err(LoadError::Missing { kind: "map", name });
    };
    let descriptor = map.fd().as_fd().try_clone_to_owned();
    descriptor.map_err(|error| LoadError::Map { name, source: MapError::IoError(error) })
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, LoadError> {
    ebpf.program_mut(name).ok_or(LoadError::Missing { kind: "program", name })
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, LoadError> {
    program(ebpf, name)?.try_into().map_err(|source| LoadError::Program { program: name, source })
}

fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, LoadError> {
    program(ebpf, name)?.try_into().map_err(|source| LoadError::Program { program: name, source })
}

fn program_fd(ebpf: &mut Ebpf, name: &'static str) -> Result<ProgramFd, LoadError> {
    program(ebpf, name)?
        .fd()
        .and_then(|fd| fd.try_clone().map_err(ProgramError::IOError))
        .map_err(|source| LoadError::Program { program: name, source })
}

fn take<T: TryFrom<aya::maps::Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, LoadError> {
    ebpf.take_map(name)
        .ok_or(LoadError::Missing { kind: "map", name })?
        .try_into()
        .map_err(|source| LoadError::Map { name, source })
}
