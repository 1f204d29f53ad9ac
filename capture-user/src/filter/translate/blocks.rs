//! Basic blocks, and what is known of them.

use std::collections::BTreeSet;

use super::{
    TranslateError,
    decode::{At, Decoded, End, Step, Value, Verdict, decode},
    instruction::{Arithmetic, Comparison},
};
use crate::filter::classic;

/// Index of a block.
pub type BlockId = usize;

/// Comparisons with so many values or more become one search among them.
const SEARCH: usize = 5;

/// Steps that are always done together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub steps: Vec<Step>,
    pub end: End<BlockId>,
}

impl Block {
    fn successors(&self) -> Vec<BlockId> {
        match &self.end {
            End::Jump(to) => vec![*to],
            End::Branch { yes, no, .. } | End::OneOf { yes, no, .. } => vec![*yes, *no],
            End::Return(_) => Vec::new(),
        }
    }
}

/// A program as blocks in the order of its instructions; the first is the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    pub blocks: Vec<Block>,
}

impl Graph {
    /// Of a classic program.
    pub fn new(program: &classic::Program) -> Result<Self, TranslateError> {
        let count = program.instructions().len();
        let decoded =
            (0..count).map(|index| decode(program, index)).collect::<Result<Vec<_>, _>>()?;
        let starts = starts(&decoded)?;
        let of = |index: usize| starts.binary_search(&index).ok();
        let mut blocks = Vec::with_capacity(starts.len());
        for (id, start) in starts.iter().enumerate() {
            let end = starts.get(id + 1).copied().unwrap_or(count);
            blocks.push(block(&decoded[*start..end], end, of)?);
        }
        let mut graph = Self { blocks };
        graph.skip_jumps();
        graph.find_searches();
        Ok(graph)
    }

    /// Goes where a block that only jumps goes: libpcap puts such blocks where a condition's eight
    /// bits do not reach.
    fn skip_jumps(&mut self) {
        // Forwards only, so from the last to the first each target is final.
        let mut goes_on: Vec<BlockId> = (0..self.blocks.len()).collect();
        for id in (0..self.blocks.len()).rev() {
            for to in self.blocks[id].end.targets_mut() {
                *to = goes_on[*to];
            }
            match &self.blocks[id] {
                Block { steps, end: End::Jump(to) } if steps.is_empty() && *to > id => {
                    goes_on[id] = *to;
                }
                _ => {}
            }
        }
    }

    /// Turns chains of comparisons of A with constants, all of which go on at the same place if they
    /// hold, into searches. libpcap makes one of each list of hosts or ports.
    fn find_searches(&mut self) {
        let mut seen = vec![false; self.blocks.len()];
        let mut open = vec![0];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id], true) {
                continue;
            }
            if let Some(search) = self.search(id) {
                self.blocks[id].end = search;
            }
            open.extend(self.blocks[id].successors());
        }
    }

    fn search(&self, id: BlockId) -> Option<End<BlockId>> {
        let comparison = |block: &Block| match block.end {
            End::Branch { comparison: Comparison::Equal, value: Value::Constant(k), yes, no } => {
                Some((k, yes, no))
            }
            _ => None,
        };
        let (first, yes, mut no) = comparison(&self.blocks[id])?;
        let mut values = BTreeSet::from([first]);
        // Forwards only, so it ends.
        while let Some((k, also, next)) = comparison(&self.blocks[no])
            && self.blocks[no].steps.is_empty()
            && also == yes
            && next > no
        {
            values.insert(k);
            no = next;
        }
        (values.len() >= SEARCH).then(|| End::OneOf {
            values: values.into_iter().collect(),
            yes,
            no,
        })
    }

    /// Does any step do this?
    pub fn any_step(&self, is: impl Fn(&Step) -> bool) -> bool {
        self.blocks.iter().flat_map(|block| &block.steps).any(is)
    }

    /// The blocks to which others go back, or themselves; sorted.
    pub fn loops(&self) -> Vec<BlockId> {
        let mut heads = BTreeSet::new();
        for (id, block) in self.blocks.iter().enumerate() {
            heads.extend(block.successors().into_iter().filter(|to| *to <= id));
        }
        heads.into_iter().collect()
    }

    /// For each block, how many first bytes of the frame are known to be there when it begins,
    /// `from` at the entry: what is loaded on all ways to it.
    pub fn assured(&self, from: u32) -> Vec<u32> {
        let mut assured = vec![u32::MAX; self.blocks.len()];
        assured[0] = from;
        let mut changed = true;
        while changed {
            changed = false;
            for (id, block) in self.blocks.iter().enumerate() {
                if assured[id] == u32::MAX {
                    continue;
                }
                let behind = block.steps.iter().filter_map(fixed_end).max().unwrap_or(0);
                let behind = behind.max(assured[id]);
                for to in block.successors() {
                    if behind < assured[to] {
                        assured[to] = behind;
                        changed = true;
                    }
                }
            }
        }
        assured
    }

    /// Which of A, X and the scratch memory are read before they are written.
    pub fn read_first(&self) -> Registers {
        let mut live = vec![Registers::default(); self.blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (id, block) in self.blocks.iter().enumerate().rev() {
                let mut here = block.end_reads();
                for to in block.successors() {
                    here.0 |= live[to].0;
                }
                for step in block.steps.iter().rev() {
                    let (reads, writes) = reads_and_writes(step);
                    here.0 = here.0 & !writes.0 | reads.0;
                }
                changed |= here != live[id];
                live[id] = here;
            }
        }
        live.first().copied().unwrap_or_default()
    }
}

/// End of the bytes that a step loads at a fixed place, if it does.
pub fn fixed_end(step: &Step) -> Option<u32> {
    match step {
        Step::Load(size, At::Fixed(offset)) => Some(offset.saturating_add(size.bytes())),
        Step::XHeaderLength(offset) => Some(offset.saturating_add(1)),
        _ => None,
    }
}

/// A set of A, X and words of scratch memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers(u32);

impl Registers {
    pub const A: Self = Self(1);
    pub const X: Self = Self(2);

    /// A word of scratch memory.
    pub const fn word(word: u8) -> Self {
        Self(4 << word)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is it in the set?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Block {
    fn end_reads(&self) -> Registers {
        match &self.end {
            End::Branch { value: Value::X, .. } => Registers::A.and(Registers::X),
            End::Branch { .. } | End::OneOf { .. } | End::Return(Verdict::A) => Registers::A,
            End::Jump(_) | End::Return(_) => Registers::default(),
        }
    }
}

fn reads_and_writes(step: &Step) -> (Registers, Registers) {
    const NONE: Registers = Registers(0);
    const A: Registers = Registers::A;
    const X: Registers = Registers::X;
    match *step {
        Step::Load(_, At::BehindX(_)) | Step::LoadX => (X, A),
        Step::Load(..) | Step::LoadAncillary(_) | Step::LoadLength | Step::LoadConstant(_) => {
            (NONE, A)
        }
        Step::LoadScratch(word) => (Registers::word(word), A),
        Step::XHeaderLength(_) | Step::XLength | Step::XConstant(_) => (NONE, X),
        Step::XScratch(word) => (Registers::word(word), X),
        Step::XFromA => (A, X),
        Step::Store(word) => (A, Registers::word(word)),
        Step::StoreX(word) => (X, Registers::word(word)),
        Step::Calculate(Arithmetic::Negate, _) | Step::Calculate(_, Value::Constant(_)) => (A, A),
        Step::Calculate(_, Value::X) => (A.and(X), A),
    }
}

/// The first instructions of the blocks, sorted.
fn starts(decoded: &[Decoded]) -> Result<Vec<usize>, TranslateError> {
    let mut starts = BTreeSet::from([0]);
    for (index, instruction) in decoded.iter().enumerate() {
        let Decoded::End(end) = instruction else { continue };
        match end {
            End::Jump(to) => _ = starts.insert(*to),
            End::Branch { yes, no, .. } => starts.extend([*yes, *no]),
            End::OneOf { .. } | End::Return(_) => {}
        }
        if index + 1 < decoded.len() {
            starts.insert(index + 1);
        }
    }
    match starts.last() {
        Some(last) if *last < decoded.len() => Ok(starts.into_iter().collect()),
        last => Err(TranslateError::Jump { target: last.copied().unwrap_or(0) }),
    }
}

fn block(
    decoded: &[Decoded],
    next: usize,
    of: impl Fn(usize) -> Option<BlockId>,
) -> Result<Block, TranslateError> {
    let to = |target: usize| of(target).ok_or(TranslateError::Jump { target });
    let mut steps = Vec::new();
    for instruction in decoded {
        let end = match instruction {
            Decoded::Step(step) => {
                steps.push(*step);
                continue;
            }
            Decoded::End(End::Jump(target)) => End::Jump(to(*target)?),
            Decoded::End(End::Branch { comparison, value, yes, no }) => {
                End::Branch { comparison: *comparison, value: *value, yes: to(*yes)?, no: to(*no)? }
            }
            Decoded::End(End::Return(verdict)) => End::Return(*verdict),
            Decoded::End(End::OneOf { .. }) => continue,
        };
        return Ok(Block { steps, end });
    }
    Ok(Block { steps, end: End::Jump(to(next)?) })
}
