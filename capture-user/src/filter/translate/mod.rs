//! Classic BPF → eBPF, in four steps: [`decode`] the instructions, cut them into [`blocks`], write
//! each block's code ([`emit`], [`access`]), [`assemble`] it.
//!
//! What is loaded at fixed places is read directly from the frame, checked once for all that a block
//! needs. Where the check fails (the frame is short, or its headers lie in several buffers), the
//! program goes on, at the very same step and with the same registers, in a second version of itself
//! that asks the kernel for each byte and rejects what is outside, as classic BPF does. At tc, a
//! third version is for frames whose VLAN tag lies beside their bytes: it sees the frame as it is on
//! the wire.

mod access;
mod assemble;
mod blocks;
mod decode;
mod emit;
mod instruction;
mod layout;

pub use instruction::Instruction;

use super::classic;

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP, what comes in.
    Xdp,
    /// tc (tcx or clsact), what goes out.
    Tc,
}

impl Hook {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Xdp, Self::Tc];
}

/// What the program does with a frame that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// Returns a value: for tests and measurements.
    Return(i32),
    /// Calls a stage.
    Call {
        /// Descriptor of the program array.
        stages: i32,
        /// Its slot.
        stage: u32,
        /// A word that the stage reads from the per-CPU scratch.
        note: Option<Note>,
        /// What is returned if there is nothing in the slot.
        otherwise: i32,
    },
}

/// A word for the called stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Descriptor of the per-CPU array.
    pub scratch: i32,
    /// Where in its element, in bytes.
    pub offset: i16,
    /// What is put there.
    pub word: u32,
}

/// What the program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it runs.
    pub hook: Hook,
    /// What it does with a frame that matches.
    pub matched: Matched,
    /// What it returns for one that does not.
    pub unmatched: i32,
    /// Reads nothing directly: for tests of the version that is seldom used.
    pub only_helpers: bool,
}

/// A classic program that cannot be translated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// An instruction that is none, or an extension of the kernel's that has no equal in eBPF.
    #[error("instruction {index} of the classic program is unknown: code {code:#x}")]
    Instruction {
        /// Its number, from 0.
        index: usize,
        /// Its code.
        code: u16,
    },
    /// A jump that leaves the program, or a program without an end.
    #[error("the classic program jumps to instruction {target}, which it does not have")]
    Jump {
        /// The number of that instruction.
        target: usize,
    },
    /// It reads scratch memory that it has not written: what libpcap's interpreter finds there is
    /// chance.
    #[error(
        "libpcap's program goes on with offsets that it never set (word {word} of its memory): it \
         changes them for all that stands behind `geneve`, whether that matched or not; put the part \
         with `geneve` last"
    )]
    Undefined {
        /// The word of the memory.
        word: u8,
    },
    /// More loops than the stack has counters for.
    #[error(
        "{count} loops are too many, at most {} can be: use `protochain` less often",
        layout::MOST_LOOPS
    )]
    Loops {
        /// How many there are.
        count: usize,
    },
    /// The translator is wrong.
    #[error("a jump of the translated program has no target: a mistake in captured, please report")]
    Label,
}

/// Translates a program.
///
/// # Errors
/// It is no classic program as libpcap makes them.
pub fn translate(
    program: &classic::Program,
    target: &Target,
) -> Result<Vec<Instruction>, TranslateError> {
    let graph = blocks::Graph::new(program)?;
    let read_first = graph.read_first();
    if let Some(word) =
        (0..decode::SCRATCH_WORDS).find(|word| read_first.has(blocks::Registers::word(*word)))
    {
        return Err(TranslateError::Undefined { word });
    }
    let count = graph.loops().len();
    if count > layout::MOST_LOOPS {
        return Err(TranslateError::Loops { count });
    }
    emit::emit(&graph, target).ok_or(TranslateError::Label)
}
