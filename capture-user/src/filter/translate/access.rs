//! Loads from the frame, in each of the three versions of a program.

use super::{
    Hook,
    assemble::Label,
    decode::At,
    emit::{Emitter, Version},
    instruction::{
        Arithmetic, Comparison, Instruction, Operand, Register,
        Register::{R0, R1, R2, R3, R4, R10},
        Size, Width,
    },
    layout::{BUFFER, CONTEXT, DATA, DATA_END, WINDOW, WINDOW_BYTES, X, helper, skb},
};

/// No frame has bytes behind these: larger offsets reject it. Also where a positive `i32` ends.
const MOST_OFFSET: u32 = i32::MAX as u32;
/// The verifier follows packet pointers no further than 65,535 bytes (`MAX_PACKET_OFF`).
const MOST_DIRECT: i32 = 0x7fff;
/// Bytes in front of a VLAN tag: the addresses.
const BEFORE_TAG: u32 = 12;
/// Bytes of a VLAN tag.
pub const TAG: u32 = 4;
/// The shortest frame that the kernel hands out: an Ethernet header.
const LEAST_FRAME: u32 = 14;

impl Emitter<'_> {
    /// `register` = the bytes, as a number. `assured` bytes of the frame are known to be there;
    /// `otherwise` is where the version that reads directly goes on if it cannot.
    pub(super) fn load(
        &mut self,
        version: Version,
        register: Register,
        (size, at): (Size, At),
        assured: &mut u32,
        otherwise: Label,
    ) {
        match (version, at) {
            (_, At::Fixed(offset) | At::BehindX(offset)) if offset > MOST_OFFSET => {
                self.code.jump(self.reject);
                return;
            }
            (Version::Direct, At::Fixed(offset)) => {
                self.assure(offset.saturating_add(size.bytes()), assured, otherwise);
                self.code.push(Instruction::load(size, register, DATA, offset as i16));
            }
            (Version::Direct, At::BehindX(offset)) => {
                self.load_behind_x(register, size, offset, otherwise);
            }
            (Version::Helpers, at) => {
                self.place_of(at);
                self.ask(size, register);
            }
            (Version::Tagged, at) => {
                self.load_tagged(register, size, at);
                return;
            }
        }
        self.become_number(size, register);
    }

    fn become_number(&mut self, size: Size, register: Register) {
        match size {
            Size::Half => self.code.push(Instruction::from_big_endian(register, 16)),
            Size::Word => self.code.push(Instruction::from_big_endian(register, 32)),
            Size::Byte | Size::Double => {}
        }
    }

    /// Goes to `otherwise` unless the first buffer holds the first `bytes` of the frame.
    pub(super) fn assure(&mut self, bytes: u32, assured: &mut u32, otherwise: Label) {
        if bytes <= *assured {
            return;
        }
        if bytes > MOST_DIRECT as u32 {
            // Whatever follows is not reached.
            self.code.jump(otherwise);
            return;
        }
        self.copy(R1, DATA);
        self.add(R1, bytes as i32);
        self.jump_if(R1, Comparison::Greater, Operand::Register(DATA_END), otherwise);
        *assured = bytes;
    }

    fn load_behind_x(&mut self, register: Register, size: Size, offset: u32, otherwise: Label) {
        self.sum_with_x(R1, offset);
        self.jump_if(R1, Comparison::Greater, Operand::Immediate(MOST_DIRECT), otherwise);
        self.arithmetic(Width::W64, Arithmetic::Add, R1, Operand::Register(DATA));
        self.copy(R2, R1);
        self.add(R2, size.bytes() as i32);
        self.jump_if(R2, Comparison::Greater, Operand::Register(DATA_END), otherwise);
        self.code.push(Instruction::load(size, register, R1, 0));
    }

    /// In 64 bits, so that nothing wraps: libpcap's interpreter rejects what would.
    fn sum_with_x(&mut self, register: Register, offset: u32) {
        self.arithmetic(Width::W32, Arithmetic::Move, register, Operand::Register(X));
        if offset > 0 {
            self.add(register, offset as i32);
        }
    }

    /// R2 = where to load.
    fn place_of(&mut self, at: At) {
        match at {
            At::Fixed(offset) => self.set(R2, offset as i32),
            At::BehindX(offset) => {
                self.sum_with_x(R2, offset);
                let most = Operand::Immediate(MOST_OFFSET as i32);
                self.jump_if(R2, Comparison::Greater, most, self.reject);
            }
        }
    }

    /// `register` = the bytes at R2, by the kernel's helper.
    fn ask(&mut self, size: Size, register: Register) {
        self.ask_for(size.bytes(), BUFFER);
        self.jump_if(R0, Comparison::NotEqual, Operand::Immediate(0), self.reject);
        self.code.push(Instruction::load(size, register, R10, BUFFER));
    }

    /// Copies bytes of the frame from R2 on to the stack.
    fn ask_for(&mut self, bytes: u32, to: i16) {
        self.copy(R1, CONTEXT);
        self.copy(R3, R10);
        self.add(R3, to.into());
        self.set(R4, bytes as i32);
        self.code.push(Instruction::call(match self.hook {
            Hook::Xdp => helper::XDP_LOAD_BYTES,
            Hook::Tc => helper::SKB_LOAD_BYTES,
        }));
    }

    /// Puts the first bytes of the frame, the tag among them, on the stack.
    pub(super) fn fill_window(&mut self) {
        let rest = WINDOW + (BEFORE_TAG + TAG) as i16;
        self.set(R2, 0);
        self.ask_for(BEFORE_TAG, WINDOW);
        self.code.push(Instruction::load(Size::Word, R1, CONTEXT, skb::VLAN_PROTO));
        self.code.push(Instruction::store(
            Size::Half,
            R10,
            WINDOW + BEFORE_TAG as i16,
            Operand::Register(R1),
        ));
        self.code.push(Instruction::load(Size::Word, R1, CONTEXT, skb::VLAN_TCI));
        self.code.push(Instruction::from_big_endian(R1, 16));
        self.code.push(Instruction::store(
            Size::Half,
            R10,
            WINDOW + BEFORE_TAG as i16 + 2,
            Operand::Register(R1),
        ));
        self.code.push(Instruction::store(Size::Word, R10, rest, Operand::Immediate(0)));
        let (short, filled) = (self.code.label(), self.code.label());
        self.code.push(Instruction::load(Size::Word, R1, CONTEXT, skb::LEN));
        let enough = Operand::Immediate((BEFORE_TAG + 4) as i32);
        self.jump_if(R1, Comparison::Less, enough, short);
        self.set(R2, BEFORE_TAG as i32);
        self.ask_for(4, rest);
        self.code.jump(filled);
        self.code.place(short);
        self.set(R2, BEFORE_TAG as i32);
        self.ask_for(LEAST_FRAME - BEFORE_TAG, rest);
        self.code.place(filled);
    }

    fn load_tagged(&mut self, register: Register, size: Size, at: At) {
        let last_in_window = WINDOW_BYTES - size.bytes();
        match at {
            At::Fixed(offset) if offset > last_in_window => {
                self.set(R2, (offset - TAG) as i32);
                self.ask(size, register);
                self.become_number(size, register);
            }
            At::Fixed(offset) => {
                self.set(R2, offset as i32);
                self.load_from_window(register, size);
            }
            At::BehindX(_) => {
                let (window, done) = (self.code.label(), self.code.label());
                self.place_of(at);
                let last = Operand::Immediate((WINDOW_BYTES - 4) as i32);
                self.jump_if(R2, Comparison::LessOrEqual, last, window);
                self.add(R2, -(TAG as i32));
                self.ask(size, register);
                self.become_number(size, register);
                self.code.jump(done);
                self.code.place(window);
                self.load_from_window(register, size);
                self.code.place(done);
            }
        }
    }

    /// `register` = the number at R2 in the window. Byte by byte: the verifier wants the stack's words
    /// to be aligned.
    fn load_from_window(&mut self, register: Register, size: Size) {
        self.check_length(size);
        self.copy(R1, R10);
        self.arithmetic(Width::W64, Arithmetic::Add, R1, Operand::Register(R2));
        self.code.push(Instruction::load(Size::Byte, register, R1, WINDOW));
        for byte in 1..size.bytes() {
            let eight = Operand::Immediate(8);
            self.arithmetic(Width::W32, Arithmetic::ShiftLeft, register, eight);
            self.code.push(Instruction::load(Size::Byte, R2, R1, WINDOW + byte as i16));
            self.arithmetic(Width::W32, Arithmetic::Or, register, Operand::Register(R2));
        }
    }

    /// Rejects if the bytes at R2 are not in the frame as it is on the wire.
    fn check_length(&mut self, size: Size) {
        self.code.push(Instruction::load(Size::Word, R1, CONTEXT, skb::LEN));
        self.add(R1, TAG as i32 - size.bytes() as i32);
        self.jump_if(R1, Comparison::Less, Operand::Register(R2), self.reject);
    }
}
