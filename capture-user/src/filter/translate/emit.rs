//! Code for blocks.

use super::{
    Hook, Matched, Note, Target,
    access::TAG,
    assemble::{Assembler, Condition, Label},
    blocks::{Block, BlockId, Graph, Registers, fixed_end},
    decode::{Ancillary, At, End, Step, Value, Verdict},
    instruction::{
        Arithmetic, Comparison, Instruction, Operand, Register,
        Register::{R0, R1, R2, R3, R10},
        Size, Width,
    },
    layout::{
        self, A, CONTEXT, DATA, DATA_END, KEY, LENGTH, MOST_ROUNDS, PACKET_HOST, PACKET_OUTGOING,
        X, helper, skb, xdp,
    },
};

/// How a version of the program gets at the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// By pointers.
    Direct,
    /// By the kernel's helpers.
    Helpers,
    /// By helpers, with the VLAN tag put in that lies beside the bytes.
    Tagged,
}

/// What the first check asks for, if so much is ever loaded: the headers of a TCP segment without
/// options, which is all that most filters look at.
const FIRST_CHECK: u32 = 54;
/// Values that are compared one after the other at the end of a search.
const FEW: usize = 3;

/// The code that is being written.
pub struct Emitter<'a> {
    graph: &'a Graph,
    pub hook: Hook,
    pub code: Assembler,
    accept: Label,
    pub reject: Label,
    /// Labels of the blocks, of the version that is being written.
    blocks: Vec<Label>,
    /// Where the version by helpers does the steps of each block.
    by_helpers: Vec<Vec<Label>>,
    /// Blocks to which others go back.
    loops: Vec<BlockId>,
    /// For each block, first bytes of the frame that are known to be there.
    assured: Vec<u32>,
}

/// The whole program; `None` if it has a jump to nowhere.
pub fn emit(graph: &Graph, target: &Target) -> Option<Vec<Instruction>> {
    let mut code = Assembler::default();
    let (accept, reject) = (code.label(), code.label());
    let steps = graph.blocks.iter().map(|block| block.steps.len());
    let by_helpers = steps.map(|count| (0..=count).map(|_| code.label()).collect()).collect();
    let mut emitter = Emitter {
        graph,
        hook: target.hook,
        code,
        accept,
        reject,
        blocks: Vec::new(),
        by_helpers,
        loops: graph.loops(),
        assured: Vec::new(),
    };
    emitter.program(target);
    emitter.code.finish()
}

impl Emitter<'_> {
    fn program(&mut self, target: &Target) {
        let tagged = self.code.label();
        self.begin(tagged);
        let reads_frame =
            self.graph.any_step(|step| matches!(step, Step::Load(..) | Step::XHeaderLength(_)));
        // In a loop, the verifier would follow pointers of each round's own.
        if target.only_helpers || !reads_frame || !self.loops.is_empty() {
            self.code.jump(self.by_helpers[0][0]);
        } else {
            self.direct();
        }
        self.code.place(self.accept);
        self.matched(target.matched);
        self.code.place(self.reject);
        self.end(target.unmatched);
        self.version(Version::Helpers);
        self.code.place(tagged);
        self.fill_window();
        self.version(Version::Tagged);
    }

    /// What all versions need.
    fn begin(&mut self, tagged: Label) {
        let needs_length =
            self.graph.any_step(|step| matches!(step, Step::LoadLength | Step::XLength));
        self.copy(CONTEXT, R1);
        for number in 0..self.loops.len() {
            self.store(Size::Word, layout::rounds(number), Operand::Immediate(MOST_ROUNDS));
        }
        if needs_length && self.hook == Hook::Xdp {
            self.code.push(Instruction::call(helper::XDP_GET_BUFF_LEN));
            self.store(Size::Word, LENGTH, Operand::Register(R0));
        }
        // libpcap's interpreter begins with 0 in both.
        let read_first = self.graph.read_first();
        for (registers, register) in [(Registers::A, A), (Registers::X, X)] {
            if read_first.has(registers) {
                self.set(register, 0);
            }
        }
        if self.hook == Hook::Tc {
            self.code.push(Instruction::load(Size::Word, R1, CONTEXT, skb::VLAN_PRESENT));
            self.jump_if(R1, Comparison::NotEqual, Operand::Immediate(0), tagged);
        }
    }

    fn direct(&mut self) {
        let (data, data_end) = match self.hook {
            Hook::Xdp => (xdp::DATA, xdp::DATA_END),
            Hook::Tc => (skb::DATA, skb::DATA_END),
        };
        self.code.push(Instruction::load(Size::Word, DATA, CONTEXT, data));
        self.code.push(Instruction::load(Size::Word, DATA_END, CONTEXT, data_end));
        let ends = self.graph.blocks.iter().flat_map(|block| &block.steps).filter_map(fixed_end);
        let first = ends.filter(|end| *end <= FIRST_CHECK).max().unwrap_or(0);
        let mut assured = 0;
        self.assure(first, &mut assured, self.by_helpers[0][0]);
        self.assured = self.graph.assured(assured);
        self.version(Version::Direct);
    }

    fn version(&mut self, version: Version) {
        self.blocks = self.graph.blocks.iter().map(|_| self.code.label()).collect();
        let graph = self.graph;
        for (id, block) in graph.blocks.iter().enumerate() {
            self.code.place(self.blocks[id]);
            self.block(version, id, block);
        }
    }

    fn block(&mut self, version: Version, id: BlockId, block: &Block) {
        let mut assured = self.assured.get(id).copied().unwrap_or(0);
        let all = block.steps.iter().filter_map(fixed_end).max().unwrap_or(0);
        for (number, step) in block.steps.iter().enumerate() {
            let by_helpers = self.by_helpers[id][number];
            match version {
                Version::Helpers => self.code.place(by_helpers),
                // At once for all that the block loads; but not by an offset that no frame has.
                Version::Direct if fixed_end(step).is_some() && all <= 0x7fff => {
                    self.assure(all, &mut assured, by_helpers);
                }
                _ => {}
            }
            self.step(version, step, &mut assured, by_helpers);
        }
        if version == Version::Helpers {
            self.code.place(self.by_helpers[id][block.steps.len()]);
        }
        self.block_end(id, &block.end);
    }

    fn step(&mut self, version: Version, step: &Step, assured: &mut u32, by_helpers: Label) {
        match *step {
            Step::Load(size, at) => self.load(version, A, (size, at), assured, by_helpers),
            Step::XHeaderLength(offset) => {
                let place = (Size::Byte, At::Fixed(offset));
                self.load(version, X, place, assured, by_helpers);
                self.arithmetic(Width::W32, Arithmetic::And, X, Operand::Immediate(0xf));
                self.arithmetic(Width::W32, Arithmetic::ShiftLeft, X, Operand::Immediate(2));
            }
            Step::LoadAncillary(what) => self.ancillary(what),
            Step::LoadLength => self.length(version, A),
            Step::XLength => self.length(version, X),
            Step::LoadConstant(value) => self.set_32(A, value),
            Step::XConstant(value) => self.set_32(X, value),
            Step::LoadScratch(word) => self.load_scratch(A, word),
            Step::XScratch(word) => self.load_scratch(X, word),
            Step::Store(word) => {
                self.store(Size::Word, layout::scratch(word), Operand::Register(A));
            }
            Step::StoreX(word) => {
                self.store(Size::Word, layout::scratch(word), Operand::Register(X));
            }
            Step::LoadX => self.arithmetic(Width::W32, Arithmetic::Move, A, Operand::Register(X)),
            Step::XFromA => self.arithmetic(Width::W32, Arithmetic::Move, X, Operand::Register(A)),
            Step::Calculate(operation, value) => self.calculate(operation, value),
        }
    }

    fn load_scratch(&mut self, register: Register, word: u8) {
        self.code.push(Instruction::load(Size::Word, register, R10, layout::scratch(word)));
    }

    fn ancillary(&mut self, what: Ancillary) {
        match (what, self.hook) {
            (Ancillary::PacketType, Hook::Xdp) => self.set(A, PACKET_HOST),
            (Ancillary::PacketType, Hook::Tc) => self.set(A, PACKET_OUTGOING),
            (Ancillary::Interface, Hook::Xdp) => {
                self.code.push(Instruction::load(Size::Word, A, CONTEXT, xdp::INGRESS_IFINDEX));
            }
            (Ancillary::Interface, Hook::Tc) => {
                self.code.push(Instruction::load(Size::Word, A, CONTEXT, skb::IFINDEX));
            }
        }
    }

    fn length(&mut self, version: Version, register: Register) {
        match self.hook {
            Hook::Xdp => self.code.push(Instruction::load(Size::Word, register, R10, LENGTH)),
            Hook::Tc => self.code.push(Instruction::load(Size::Word, register, CONTEXT, skb::LEN)),
        }
        if version == Version::Tagged {
            self.add(register, TAG as i32);
        }
    }

    /// As libpcap's interpreter does it: no value for a division by 0, none left of more than 31
    /// shifts.
    fn calculate(&mut self, operation: Arithmetic, value: Value) {
        let is_shift = matches!(operation, Arithmetic::ShiftLeft | Arithmetic::ShiftRight);
        let divides = matches!(operation, Arithmetic::Divide | Arithmetic::Modulo);
        match value {
            _ if operation == Arithmetic::Negate => {
                self.arithmetic(Width::W32, operation, A, Operand::Immediate(0));
            }
            Value::Constant(0) if divides => self.code.jump(self.reject),
            Value::Constant(32..) if is_shift => self.set(A, 0),
            Value::Constant(k) => {
                self.arithmetic(Width::W32, operation, A, Operand::Immediate(k as i32));
            }
            Value::X if divides => {
                let zero = Operand::Immediate(0);
                self.jump_if_32(X, Comparison::Equal, zero, self.reject);
                self.arithmetic(Width::W32, operation, A, Operand::Register(X));
            }
            Value::X if is_shift => {
                let (shift, done) = (self.code.label(), self.code.label());
                self.jump_if_32(X, Comparison::Less, Operand::Immediate(32), shift);
                self.set(A, 0);
                self.code.jump(done);
                self.code.place(shift);
                self.arithmetic(Width::W32, operation, A, Operand::Register(X));
                self.code.place(done);
            }
            Value::X => self.arithmetic(Width::W32, operation, A, Operand::Register(X)),
        }
    }

    fn block_end(&mut self, id: BlockId, end: &End<BlockId>) {
        match end {
            End::Jump(to) => self.go_on(id, *to),
            End::Return(Verdict::Accept) => self.code.jump(self.accept),
            End::Return(Verdict::Reject) => self.code.jump(self.reject),
            End::Return(Verdict::A) => {
                self.jump_if_32(A, Comparison::NotEqual, Operand::Immediate(0), self.accept);
                self.code.jump(self.reject);
            }
            End::Branch { comparison, value, yes, no } => {
                let right = match value {
                    Value::Constant(k) => Operand::Immediate(*k as i32),
                    Value::X => Operand::Register(X),
                };
                self.branch(id, (*comparison, right), *yes, *no);
            }
            End::OneOf { values, yes, no } => {
                let (yes, no) = (self.blocks[*yes], self.blocks[*no]);
                self.search(values, yes, no);
            }
        }
    }

    /// Goes on at a block; backwards only so often.
    fn go_on(&mut self, id: BlockId, to: BlockId) {
        if to <= id
            && let Ok(number) = self.loops.binary_search(&to)
        {
            let rounds = layout::rounds(number);
            self.code.push(Instruction::load(Size::Word, R1, R10, rounds));
            self.add(R1, -1);
            self.store(Size::Word, rounds, Operand::Register(R1));
            self.jump_if(R1, Comparison::Equal, Operand::Immediate(0), self.reject);
        }
        self.code.jump(self.blocks[to]);
    }

    /// libpcap's jumps with a condition always go forwards.
    fn branch(
        &mut self,
        id: BlockId,
        (comparison, right): (Comparison, Operand),
        yes: BlockId,
        no: BlockId,
    ) {
        let (comparison, taken, next) = match comparison.inverse() {
            Some(inverse) if yes == id + 1 => (inverse, no, yes),
            _ => (comparison, yes, no),
        };
        self.jump_if_32(A, comparison, right, self.blocks[taken]);
        self.code.jump(self.blocks[next]);
    }

    /// A search among sorted values: half of them is left after each comparison.
    fn search(&mut self, values: &[u32], yes: Label, no: Label) {
        if values.len() <= FEW {
            for value in values {
                let value = Operand::Immediate(*value as i32);
                self.jump_if_32(A, Comparison::Equal, value, yes);
            }
            self.code.jump(no);
            return;
        }
        let (low, high) = values.split_at(values.len() / 2);
        let upper = self.code.label();
        let first = Operand::Immediate(high.first().copied().unwrap_or_default() as i32);
        self.jump_if_32(A, Comparison::GreaterOrEqual, first, upper);
        self.search(low, yes, no);
        self.code.place(upper);
        self.search(high, yes, no);
    }

    fn matched(&mut self, matched: Matched) {
        match matched {
            Matched::Return(value) => self.end(value),
            Matched::Call { stages, stage, note, otherwise } => {
                let cannot = self.code.label();
                if let Some(note) = note {
                    self.leave_note(note, cannot);
                }
                self.copy(R1, CONTEXT);
                self.code.push_wide(Instruction::load_map(R2, stages));
                self.set(R3, stage as i32);
                self.code.push(Instruction::call(helper::TAIL_CALL));
                self.code.place(cannot);
                self.end(otherwise);
            }
        }
    }

    fn leave_note(&mut self, note: Note, cannot: Label) {
        self.store(Size::Word, KEY, Operand::Immediate(0));
        self.code.push_wide(Instruction::load_map(R1, note.scratch));
        self.copy(R2, R10);
        self.add(R2, KEY.into());
        self.code.push(Instruction::call(helper::MAP_LOOKUP_ELEM));
        self.jump_if(R0, Comparison::Equal, Operand::Immediate(0), cannot);
        let word = Operand::Immediate(note.word as i32);
        self.code.push(Instruction::store(Size::Word, R0, note.offset, word));
    }

    fn end(&mut self, value: i32) {
        self.set_32(R0, value as u32);
        self.code.push(Instruction::exit());
    }

    pub(super) fn set(&mut self, register: Register, value: i32) {
        self.arithmetic(Width::W64, Arithmetic::Move, register, Operand::Immediate(value));
    }

    fn set_32(&mut self, register: Register, value: u32) {
        let value = Operand::Immediate(value as i32);
        self.arithmetic(Width::W32, Arithmetic::Move, register, value);
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.arithmetic(Width::W64, Arithmetic::Move, to, Operand::Register(from));
    }

    pub(super) fn add(&mut self, register: Register, value: i32) {
        self.arithmetic(Width::W64, Arithmetic::Add, register, Operand::Immediate(value));
    }

    pub(super) fn arithmetic(
        &mut self,
        width: Width,
        operation: Arithmetic,
        register: Register,
        operand: Operand,
    ) {
        self.code.push(Instruction::arithmetic(width, operation, register, operand));
    }

    fn store(&mut self, size: Size, to: i16, value: Operand) {
        self.code.push(Instruction::store(size, R10, to, value));
    }

    pub(super) fn jump_if(
        &mut self,
        left: Register,
        comparison: Comparison,
        right: Operand,
        to: Label,
    ) {
        self.code.jump_if(Condition { width: Width::W64, comparison, left, right }, to);
    }

    fn jump_if_32(&mut self, left: Register, comparison: Comparison, right: Operand, to: Label) {
        self.code.jump_if(Condition { width: Width::W32, comparison, left, right }, to);
    }
}
