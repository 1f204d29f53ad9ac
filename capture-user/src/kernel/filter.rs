//! Filter programs: made from an expression, put into the slot of an interface.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::Arc,
};

use capture_common::abi::{Scratch, names};

use super::{
    Tables,
    program::{self, LoadFailure, Run},
};
use crate::filter::{
    Expression, ExpressionError, Filter, Unmatched, classic,
    translate::{Hook, Matched, Note, Target, TranslateError, translate},
};

/// Why a filter is not in force; the old one is.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// libpcap refuses the expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// libpcap's program has something that is not known here.
    #[error("the filter `{expression}` cannot run in the kernel: {source}")]
    Translate {
        /// The expression, cut if it is long.
        expression: String,
        /// What is in the way.
        source: TranslateError,
    },
    /// The verifier gives up.
    #[error(
        "the filter `{expression}` is too complex for the kernel's verifier: {source}; shorten the \
         list, or use `net` or `portrange` instead of many hosts or ports"
    )]
    TooComplex {
        /// The expression, cut if it is long.
        expression: String,
        /// The kernel's words.
        source: Box<LoadFailure>,
    },
    /// The kernel does not load the program.
    #[error("the kernel refuses the filter `{expression}`: {source}")]
    Load {
        /// The expression, cut if it is long.
        expression: String,
        /// The kernel's words.
        source: Box<LoadFailure>,
    },
    /// The program does not go into its slot.
    #[error("cannot put the filter into the map `{map}`: {source}")]
    Slot {
        /// The program array.
        map: &'static str,
        /// The kernel's words.
        source: io::Error,
    },
}

impl FilterError {
    /// Did the kernel say that we may not?
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Load { source, .. }
            if source.source.raw_os_error() == Some(libc::EPERM))
    }
}

/// Characters of an expression that messages show.
const SHOWN: usize = 80;

fn shown(expression: &Expression) -> String {
    let text = expression.as_str();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn load_error(expression: &Expression) -> impl Fn(LoadFailure) -> FilterError {
    let expression = shown(expression);
    move |failure| {
        let (expression, source) = (expression.clone(), Box::new(failure));
        if source.is_too_complex() {
            FilterError::TooComplex { expression, source }
        } else {
            FilterError::Load { expression, source }
        }
    }
}

fn translated(
    expression: &Expression,
    program: &classic::Program,
    target: &Target,
) -> Result<Vec<crate::filter::translate::Instruction>, FilterError> {
    translate(program, target)
        .map_err(|source| FilterError::Translate { expression: shown(expression), source })
}

/// Descriptors of one hook's maps.
pub(super) struct HookMaps {
    /// The program array.
    pub stages: OwnedFd,
    /// Its per-CPU scratch.
    pub scratch: OwnedFd,
}

/// Loads filters; the programs come into force by [`Tables::put_filter`].
///
/// Without a lock on the tables: libpcap and the verifier may take a second for a long list.
#[derive(Clone)]
pub struct FilterLoader {
    pub(super) xdp: Arc<HookMaps>,
    pub(super) tc: Arc<HookMaps>,
}

/// A loaded filter, in no slot yet.
pub struct LoadedFilter {
    /// None for a filter that matches everything.
    programs: Option<[OwnedFd; 2]>,
}

impl FilterLoader {
    /// Compiles and loads a filter. `netmask` is that of the interface's IPv4 address, for
    /// `ip broadcast`; 0 if it has none.
    ///
    /// # Errors
    /// See [`FilterError`]; nothing stays behind.
    pub fn load(
        &self,
        filter: &Filter,
        netmask: u32,
        unmatched: Unmatched,
    ) -> Result<LoadedFilter, FilterError> {
        if filter.is_everything() {
            return Ok(LoadedFilter { programs: None });
        }
        let classic = filter.expression.compile(netmask)?;
        let load = |hook| {
            let target = self.target(hook, filter, unmatched);
            let code = translated(&filter.expression, &classic, &target)?;
            program::load(hook, &code).map_err(load_error(&filter.expression))
        };
        Ok(LoadedFilter { programs: Some([load(Hook::Xdp)?, load(Hook::Tc)?]) })
    }

    fn target(&self, hook: Hook, filter: &Filter, unmatched: Unmatched) -> Target {
        let maps = match hook {
            Hook::Xdp => &self.xdp,
            Hook::Tc => &self.tc,
        };
        let note = (!filter.trouble.is_empty()).then(|| Note {
            scratch: maps.scratch.as_raw_fd(),
            offset: Scratch::WANTED_TROUBLE_OFFSET as i16,
            word: filter.trouble.bits(),
        });
        let stage =
            if note.is_some() { names::STAGE_DELIVER_TROUBLED } else { names::STAGE_DELIVER };
        let pass = pass(hook);
        Target {
            hook,
            matched: Matched::Call {
                stages: maps.stages.as_raw_fd(),
                stage,
                note,
                otherwise: pass,
            },
            unmatched: match (hook, unmatched) {
                (Hook::Xdp, Unmatched::Drop) => libbpf_sys::XDP_DROP as i32,
                _ => pass,
            },
            only_helpers: false,
        }
    }
}

/// What lets a frame go on.
fn pass(hook: Hook) -> i32 {
    match hook {
        Hook::Xdp => libbpf_sys::XDP_PASS as i32,
        // `TCX_NEXT` and `TC_ACT_UNSPEC`.
        Hook::Tc => -1,
    }
}

impl Tables {
    /// What loads filters for these tables.
    #[must_use]
    pub fn filter_loader(&self) -> FilterLoader {
        self.stages.loader.clone()
    }

    /// Puts a loaded filter into the slot of an interface, from one frame to the next at each hook.
    ///
    /// # Errors
    /// The kernel refuses; then the old filter stays, at least at one of the hooks.
    pub fn put_filter(&mut self, slot: u32, filter: &LoadedFilter) -> Result<(), FilterError> {
        let stage = names::STAGE_FILTER_BASE + slot;
        let FilterLoader { xdp, tc } = &self.stages.loader;
        let maps = [(names::XDP_STAGES, xdp), (names::TC_STAGES, tc)];
        for (index, (map, maps)) in maps.into_iter().enumerate() {
            let result = match &filter.programs {
                Some(programs) => put(&maps.stages, stage, &programs[index]),
                None => clear(&maps.stages, stage),
            };
            result.map_err(|source| FilterError::Slot { map, source })?;
        }
        Ok(())
    }

    /// Loads a filter and puts it into the slot of an interface.
    ///
    /// # Errors
    /// As [`FilterLoader::load`] and [`Tables::put_filter`].
    pub fn set_filter(
        &mut self,
        slot: u32,
        filter: &Filter,
        netmask: u32,
        unmatched: Unmatched,
    ) -> Result<(), FilterError> {
        let filter = self.filter_loader().load(filter, netmask, unmatched)?;
        self.put_filter(slot, &filter)
    }
}

fn put(array: &OwnedFd, slot: u32, program: &OwnedFd) -> io::Result<()> {
    let value = program.as_raw_fd();
    // SAFETY: keys and values of a program array are 32 bits each, which the kernel only reads.
    let code = unsafe {
        libbpf_sys::bpf_map_update_elem(
            array.as_fd().as_raw_fd(),
            (&raw const slot).cast(),
            (&raw const value).cast(),
            libbpf_sys::BPF_ANY.into(),
        )
    };
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

fn clear(array: &OwnedFd, slot: u32) -> io::Result<()> {
    // SAFETY: the key of a program array is 32 bits, which the kernel only reads.
    let code =
        unsafe { libbpf_sys::bpf_map_delete_elem(array.as_raw_fd(), (&raw const slot).cast()) };
    match -code {
        // It was empty.
        libc::ENOENT => Ok(()),
        error if error > 0 => Err(io::Error::from_raw_os_error(error)),
        _ => Ok(()),
    }
}

/// A filter by itself, which only says whether a frame matches: for `captured filter check`, tests
/// and measurements.
pub struct Probe {
    program: OwnedFd,
    /// Instructions of it.
    pub instructions: usize,
}

impl Probe {
    /// Loads the program of an expression for one of the hooks. `only_helpers` leaves out the version
    /// that reads frames directly.
    ///
    /// # Errors
    /// It cannot be translated or loaded.
    pub fn load(
        expression: &Expression,
        program: &classic::Program,
        hook: Hook,
        only_helpers: bool,
    ) -> Result<Self, FilterError> {
        let target = Target { hook, matched: Matched::Return(1), unmatched: 0, only_helpers };
        let code = translated(expression, program, &target)?;
        let program = program::load(hook, &code).map_err(load_error(expression))?;
        Ok(Self { program, instructions: code.len() })
    }

    /// Runs it on a frame, `repeat` times; the value is 1 for a match.
    ///
    /// # Errors
    /// As [`program::run`].
    pub fn run(&self, frame: &[u8], repeat: u32) -> io::Result<Run> {
        program::run(&self.program, frame, repeat)
    }

    /// Runs it on a frame in several buffers.
    ///
    /// # Errors
    /// As [`program::run_split`].
    pub fn run_split(&self, frame: &[u8], first: u32) -> io::Result<Run> {
        program::run_split(&self.program, frame, first)
    }
}
