//! Classic instructions, one by one.
//!
//! Encoding and meaning: bpf(4) of the BSDs, and libpcap's interpreter, which decides in doubt.

use super::{
    TranslateError,
    instruction::{Arithmetic, Comparison, Size},
};
use crate::filter::classic;

/// Words of scratch memory.
pub const SCRATCH_WORDS: u8 = 16;

/// Where in the frame, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Fixed(u32),
    /// This far behind X.
    BehindX(u32),
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Constant(u32),
    X,
}

/// What the kernel knows of a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancillary {
    /// `PACKET_HOST` and so on, or 4, `PACKET_OUTGOING`.
    PacketType,
    /// The interface's index.
    Interface,
}

/// What goes on to the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A = bytes of the frame, in network order; outside of it, the frame is rejected.
    Load(Size, At),
    LoadAncillary(Ancillary),
    LoadLength,
    LoadConstant(u32),
    LoadScratch(u8),
    LoadX,
    /// X = 4 times the lower half of a byte of the frame.
    XHeaderLength(u32),
    XLength,
    XConstant(u32),
    XScratch(u8),
    XFromA,
    Store(u8),
    StoreX(u8),
    /// A = A op value, in 32 bits; a division by 0 rejects the frame.
    Calculate(Arithmetic, Value),
}

/// What the program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject,
    /// Reject if A is 0.
    A,
}

/// What ends a block; `T` tells where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<T> {
    Jump(T),
    Branch {
        comparison: Comparison,
        value: Value,
        yes: T,
        no: T,
    },
    /// Is A one of these? Sorted, each once.
    OneOf {
        values: Vec<u32>,
        yes: T,
        no: T,
    },
    Return(Verdict),
}

impl<T> End<T> {
    /// Where it goes on.
    pub fn targets_mut(&mut self) -> Vec<&mut T> {
        match self {
            Self::Jump(to) => vec![to],
            Self::Branch { yes, no, .. } | Self::OneOf { yes, no, .. } => vec![yes, no],
            Self::Return(_) => Vec::new(),
        }
    }
}

/// An instruction; targets are the indices of instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Step(Step),
    End(End<usize>),
}

/// The kernel's extensions: "negative" offsets (`SKF_AD_OFF`), of which libpcap uses some.
const ANCILLARY: u32 = 0xffff_f000;
const ANCILLARY_PACKET_TYPE: u32 = ANCILLARY + 4;
const ANCILLARY_INTERFACE: u32 = ANCILLARY + 8;

/// Decodes the instruction at `index`.
pub fn decode(program: &classic::Program, index: usize) -> Result<Decoded, TranslateError> {
    let instruction = program.instructions()[index];
    let unknown = TranslateError::Instruction { index, code: instruction.code };
    let k = instruction.k;
    let decoded = match instruction.code & 0x07 {
        0x00 => load(instruction).map(Decoded::Step),
        0x01 => load_x(instruction).map(Decoded::Step),
        0x02 if instruction.code == 0x02 => scratch(k).map(Step::Store).map(Decoded::Step),
        0x03 if instruction.code == 0x03 => scratch(k).map(Step::StoreX).map(Decoded::Step),
        0x04 => calculate(instruction).map(Decoded::Step),
        0x05 => jump(instruction, index).map(Decoded::End),
        0x06 => verdict(instruction).map(|verdict| Decoded::End(End::Return(verdict))),
        0x07 if instruction.code == 0x07 => Some(Decoded::Step(Step::XFromA)),
        0x07 if instruction.code == 0x87 => Some(Decoded::Step(Step::LoadX)),
        _ => None,
    };
    decoded.ok_or(unknown)
}

fn scratch(k: u32) -> Option<u8> {
    u8::try_from(k).ok().filter(|word| *word < SCRATCH_WORDS)
}

fn load(instruction: classic::Instruction) -> Option<Step> {
    let k = instruction.k;
    let size = match instruction.code & 0x18 {
        0x00 => Size::Word,
        0x08 => Size::Half,
        0x10 => Size::Byte,
        _ => return None,
    };
    Some(match instruction.code & 0xe0 {
        0x00 if size == Size::Word => Step::LoadConstant(k),
        0x20 if k == ANCILLARY_PACKET_TYPE => Step::LoadAncillary(Ancillary::PacketType),
        0x20 if k == ANCILLARY_INTERFACE => Step::LoadAncillary(Ancillary::Interface),
        0x20 if k >= ANCILLARY => return None,
        0x20 => Step::Load(size, At::Fixed(k)),
        0x40 => Step::Load(size, At::BehindX(k)),
        0x60 if size == Size::Word => Step::LoadScratch(scratch(k)?),
        0x80 if size == Size::Word => Step::LoadLength,
        _ => return None,
    })
}

fn load_x(instruction: classic::Instruction) -> Option<Step> {
    let k = instruction.k;
    Some(match instruction.code {
        0x01 => Step::XConstant(k),
        0x61 => Step::XScratch(scratch(k)?),
        0x81 => Step::XLength,
        0xb1 => Step::XHeaderLength(k),
        _ => return None,
    })
}

/// The operand of arithmetic and jumps: bit 3 says X.
fn value(instruction: classic::Instruction) -> Value {
    if instruction.code & 0x08 == 0 { Value::Constant(instruction.k) } else { Value::X }
}

fn calculate(instruction: classic::Instruction) -> Option<Step> {
    let operation = match instruction.code & 0xf0 {
        0x00 => Arithmetic::Add,
        0x10 => Arithmetic::Subtract,
        0x20 => Arithmetic::Multiply,
        0x30 => Arithmetic::Divide,
        0x40 => Arithmetic::Or,
        0x50 => Arithmetic::And,
        0x60 => Arithmetic::ShiftLeft,
        0x70 => Arithmetic::ShiftRight,
        0x80 => Arithmetic::Negate,
        0x90 => Arithmetic::Modulo,
        0xa0 => Arithmetic::Xor,
        _ => return None,
    };
    Some(Step::Calculate(operation, value(instruction)))
}

fn jump(instruction: classic::Instruction, index: usize) -> Option<End<usize>> {
    let skip = |count: u8| index + 1 + usize::from(count);
    let comparison = match instruction.code & 0xf0 {
        // libpcap's interpreter takes it as signed: `protochain` jumps back.
        0x00 => {
            let target = (index as i64 + 1).checked_add(i64::from(instruction.k as i32))?;
            return usize::try_from(target).ok().map(End::Jump);
        }
        0x10 => Comparison::Equal,
        0x20 => Comparison::Greater,
        0x30 => Comparison::GreaterOrEqual,
        0x40 => Comparison::AnyBit,
        _ => return None,
    };
    let (yes, no) = (skip(instruction.jt), skip(instruction.jf));
    if yes == no {
        return Some(End::Jump(yes));
    }
    Some(End::Branch { comparison, value: value(instruction), yes, no })
}

fn verdict(instruction: classic::Instruction) -> Option<Verdict> {
    match (instruction.code & 0x18, instruction.k) {
        (0x00, 0) => Some(Verdict::Reject),
        (0x00, _) => Some(Verdict::Accept),
        (0x10, _) => Some(Verdict::A),
        _ => None,
    }
}
