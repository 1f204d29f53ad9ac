//! Instructions of eBPF, as few as the translator needs.
//!
//! Encoding: the kernel's `Documentation/bpf/standardization/instruction-set.rst` (RFC 9669).

/// An instruction: `struct bpf_insn` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and source.
    pub code: u8,
    /// Destination in the lower half, source in the upper.
    pub registers: u8,
    /// Of a jump (in instructions) or of memory (in bytes).
    pub offset: i16,
    /// The operand that is no register.
    pub immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Register {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R4 = 4,
    R5 = 5,
    R6 = 6,
    R7 = 7,
    R8 = 8,
    R9 = 9,
    /// The frame pointer.
    R10 = 10,
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    Register(Register),
    Immediate(i32),
}

/// Width of an operation's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    W32,
    W64,
}

/// Bytes of memory that are read or written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    Byte,
    Half,
    Word,
    Double,
}

impl Size {
    /// In bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
            Self::Double => 0x18,
        }
    }
}

/// Arithmetic; the discriminant is its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Arithmetic {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Divide = 0x30,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Negate = 0x80,
    Modulo = 0x90,
    Xor = 0xa0,
    Move = 0xb0,
}

/// A comparison of unsigned numbers; the discriminant is its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Comparison {
    Equal = 0x10,
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    /// Any bit of the second is set in the first.
    AnyBit = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
    LessOrEqual = 0xb0,
}

impl Comparison {
    /// The one that holds when this one does not; bits have none.
    pub const fn inverse(self) -> Option<Self> {
        Some(match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Greater => Self::LessOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::GreaterOrEqual => Self::Less,
            Self::Less => Self::GreaterOrEqual,
            Self::AnyBit => return None,
        })
    }
}

const CLASS_LOAD_IMMEDIATE: u8 = 0x00;
const CLASS_LOAD: u8 = 0x01;
const CLASS_STORE_IMMEDIATE: u8 = 0x02;
const CLASS_STORE: u8 = 0x03;
const CLASS_ARITHMETIC_32: u8 = 0x04;
const CLASS_JUMP: u8 = 0x05;
const CLASS_JUMP_32: u8 = 0x06;
const CLASS_ARITHMETIC_64: u8 = 0x07;
const MEMORY: u8 = 0x60;
const SOURCE_REGISTER: u8 = 0x08;
const TO_BIG_ENDIAN: u8 = 0xd0 | SOURCE_REGISTER | CLASS_ARITHMETIC_32;
const CALL: u8 = 0x80 | CLASS_JUMP;
const EXIT: u8 = 0x90 | CLASS_JUMP;
/// `BPF_PSEUDO_MAP_FD`: the immediate is the descriptor of a map.
const PSEUDO_MAP: u8 = 1;

const fn registers(destination: Register, source: u8) -> u8 {
    destination as u8 | source << 4
}

impl Instruction {
    /// `destination = destination <operation> operand`.
    pub const fn arithmetic(
        width: Width,
        operation: Arithmetic,
        destination: Register,
        operand: Operand,
    ) -> Self {
        let class = match width {
            Width::W32 => CLASS_ARITHMETIC_32,
            Width::W64 => CLASS_ARITHMETIC_64,
        };
        Self::with_operand(class | operation as u8, destination, operand)
    }

    const fn with_operand(code: u8, destination: Register, operand: Operand) -> Self {
        match operand {
            Operand::Register(source) => Self {
                code: code | SOURCE_REGISTER,
                registers: registers(destination, source as u8),
                offset: 0,
                immediate: 0,
            },
            Operand::Immediate(immediate) => {
                Self { code, registers: registers(destination, 0), offset: 0, immediate }
            }
        }
    }

    /// Turns the lowest 16 or 32 bits from network order into numbers (on a little-endian host);
    /// the bits above become 0.
    pub const fn from_big_endian(register: Register, bits: i32) -> Self {
        Self { code: TO_BIG_ENDIAN, registers: registers(register, 0), offset: 0, immediate: bits }
    }

    /// `destination = *(size *)(base + offset)`.
    pub const fn load(size: Size, destination: Register, base: Register, offset: i16) -> Self {
        Self {
            code: CLASS_LOAD | MEMORY | size.bits(),
            registers: registers(destination, base as u8),
            offset,
            immediate: 0,
        }
    }

    /// `*(size *)(base + offset) = value`.
    pub const fn store(size: Size, base: Register, offset: i16, value: Operand) -> Self {
        match value {
            Operand::Register(source) => Self {
                code: CLASS_STORE | MEMORY | size.bits(),
                registers: registers(base, source as u8),
                offset,
                immediate: 0,
            },
            Operand::Immediate(immediate) => Self {
                code: CLASS_STORE_IMMEDIATE | MEMORY | size.bits(),
                registers: registers(base, 0),
                offset,
                immediate,
            },
        }
    }

    /// The two halves of `destination = map`, of the map with this descriptor.
    pub const fn load_map(destination: Register, descriptor: i32) -> [Self; 2] {
        let first = Self {
            code: CLASS_LOAD_IMMEDIATE | Size::Double.bits(),
            registers: registers(destination, PSEUDO_MAP),
            offset: 0,
            immediate: descriptor,
        };
        [first, Self { code: 0, registers: 0, offset: 0, immediate: 0 }]
    }

    /// Calls a helper by its number.
    pub const fn call(helper: i32) -> Self {
        Self { code: CALL, registers: 0, offset: 0, immediate: helper }
    }

    /// Returns R0.
    pub const fn exit() -> Self {
        Self { code: EXIT, registers: 0, offset: 0, immediate: 0 }
    }

    /// Is it the one that returns?
    pub const fn is_exit(self) -> bool {
        self.code == EXIT
    }

    /// Jumps by `offset` instructions if the comparison holds.
    pub const fn jump_if(
        width: Width,
        comparison: Comparison,
        left: Register,
        right: Operand,
        offset: i16,
    ) -> Self {
        let class = match width {
            Width::W32 => CLASS_JUMP_32,
            Width::W64 => CLASS_JUMP,
        };
        let mut instruction = Self::with_operand(class | comparison as u8, left, right);
        instruction.offset = offset;
        instruction
    }

    /// Jumps by `offset` instructions.
    pub const fn jump(offset: i16) -> Self {
        Self { code: CLASS_JUMP, registers: 0, offset, immediate: 0 }
    }

    /// Jumps by `offset` instructions, far: Linux 6.6.
    pub const fn jump_far(offset: i32) -> Self {
        Self { code: CLASS_JUMP_32, registers: 0, offset: 0, immediate: offset }
    }
}
