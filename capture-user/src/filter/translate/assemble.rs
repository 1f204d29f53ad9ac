//! The assembler: labels become offsets, what cannot be reached is left out (the verifier refuses
//! it), and jumps become far ones where 16 bits do not reach.

use super::instruction::{Comparison, Instruction, Operand, Register, Width};

/// A place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(usize);

/// When a jump is taken.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    pub width: Width,
    pub comparison: Comparison,
    pub left: Register,
    pub right: Operand,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    One(Instruction),
    /// Two halves of one instruction.
    Two([Instruction; 2]),
    Jump {
        condition: Option<Condition>,
        to: Label,
    },
    Here(Label),
}

/// Code that is being written.
#[derive(Debug, Default)]
pub struct Assembler {
    items: Vec<Item>,
    labels: usize,
}

impl Assembler {
    /// A label that is nowhere yet.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// The label is here.
    pub fn place(&mut self, label: Label) {
        self.items.push(Item::Here(label));
    }

    /// An instruction that is no jump.
    pub fn push(&mut self, instruction: Instruction) {
        self.items.push(Item::One(instruction));
    }

    /// An instruction of two halves.
    pub fn push_wide(&mut self, halves: [Instruction; 2]) {
        self.items.push(Item::Two(halves));
    }

    /// Goes on at `to`.
    pub fn jump(&mut self, to: Label) {
        self.items.push(Item::Jump { condition: None, to });
    }

    /// Goes on at `to` if the condition holds.
    pub fn jump_if(&mut self, condition: Condition, to: Label) {
        self.items.push(Item::Jump { condition: Some(condition), to });
    }

    /// The finished code; `None` if a label that is used was never placed.
    pub fn finish(mut self) -> Option<Vec<Instruction>> {
        self.remove_unreachable()?;
        self.remove_jumps_to_the_next();
        let mut layout = Layout::new(self.items.len(), self.labels);
        while layout.grow(&self.items)? {}
        Some(layout.encode(&self.items))
    }

    /// The item of each label.
    fn places(&self) -> Vec<Option<usize>> {
        let mut places = vec![None; self.labels];
        for (index, item) in self.items.iter().enumerate() {
            if let Item::Here(label) = item {
                places[label.0] = Some(index);
            }
        }
        places
    }

    fn remove_unreachable(&mut self) -> Option<()> {
        let places = self.places();
        let mut reached = vec![false; self.items.len()];
        let mut open = vec![0];
        while let Some(mut index) = open.pop() {
            while index < self.items.len() && !reached[index] {
                reached[index] = true;
                match self.items[index] {
                    Item::Jump { condition, to } => {
                        open.push(places[to.0]?);
                        if condition.is_none() {
                            break;
                        }
                    }
                    Item::One(instruction) if instruction.is_exit() => break,
                    _ => {}
                }
                index += 1;
            }
        }
        let mut reached = reached.into_iter();
        self.items.retain(|_| reached.next().unwrap_or(false));
        Some(())
    }

    fn remove_jumps_to_the_next(&mut self) {
        let is_needless = |index: usize| {
            let Item::Jump { condition: None, to } = self.items[index] else { return false };
            let labels = self.items[index + 1..].iter();
            labels
                .map_while(|item| match item {
                    Item::Here(label) => Some(*label),
                    _ => None,
                })
                .any(|label| label == to)
        };
        let needless: Vec<bool> = (0..self.items.len()).map(is_needless).collect();
        let mut needless = needless.into_iter();
        self.items.retain(|_| !needless.next().unwrap_or(false));
    }
}

/// Where everything lies.
struct Layout {
    /// Address of each item, in instructions.
    addresses: Vec<i32>,
    /// Address of each label.
    labels: Vec<Option<i32>>,
    /// Jumps that must be far ones.
    far: Vec<bool>,
}

impl Layout {
    fn new(items: usize, labels: usize) -> Self {
        Self { addresses: vec![0; items], labels: vec![None; labels], far: vec![false; items] }
    }

    /// Gives all items their addresses; did a jump become a far one by that?
    fn grow(&mut self, items: &[Item]) -> Option<bool> {
        let mut address = 0_i32;
        for (index, item) in items.iter().enumerate() {
            self.addresses[index] = address;
            match item {
                Item::Here(label) => self.labels[label.0] = Some(address),
                Item::One(_) => address += 1,
                Item::Two(_) => address += 2,
                Item::Jump { condition: None, .. } => address += 1,
                Item::Jump { .. } => address += if self.far[index] { 3 } else { 1 },
            }
        }
        let mut grown = false;
        for (index, item) in items.iter().enumerate() {
            if let Item::Jump { to, .. } = item
                && !self.far[index]
                && i16::try_from(self.labels[to.0]? - self.addresses[index] - 1).is_err()
            {
                self.far[index] = true;
                grown = true;
            }
        }
        Some(grown)
    }

    fn encode(&self, items: &[Item]) -> Vec<Instruction> {
        let mut code = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Item::Here(_) => {}
                Item::One(instruction) => code.push(*instruction),
                Item::Two(halves) => code.extend(halves),
                Item::Jump { condition, to } => {
                    let target = self.labels[to.0].unwrap_or_default();
                    encode_jump(&mut code, *condition, target, self.far[index]);
                }
            }
        }
        code
    }
}

fn encode_jump(
    code: &mut Vec<Instruction>,
    condition: Option<Condition>,
    target: i32,
    is_far: bool,
) {
    let taken = |offset| {
        condition.map(|c| Instruction::jump_if(c.width, c.comparison, c.left, c.right, offset))
    };
    if is_far && let Some(jump) = taken(1) {
        code.extend([jump, Instruction::jump(1)]);
    }
    let offset = target - code.len() as i32 - 1;
    code.push(match (i16::try_from(offset), taken(0)) {
        (Ok(offset), Some(jump)) if !is_far => Instruction { offset, ..jump },
        (Ok(offset), None) if !is_far => Instruction::jump(offset),
        _ => Instruction::jump_far(offset),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Condition = Condition {
        width: Width::W64,
        comparison: Comparison::Equal,
        left: Register::R0,
        right: Operand::Immediate(0),
    };

    fn nop() -> Instruction {
        Instruction::arithmetic(
            Width::W64,
            super::super::instruction::Arithmetic::Move,
            Register::R0,
            Operand::Immediate(7),
        )
    }

    #[test]
    fn jumps_find_their_labels() {
        let mut code = Assembler::default();
        let (end, dead) = (code.label(), code.label());
        code.jump_if(ZERO, end);
        code.push(nop());
        code.jump(end);
        code.place(dead);
        code.push(nop());
        code.place(end);
        code.push(Instruction::exit());
        let code = code.finish().unwrap();
        // The dead code is gone, and with it the jump over it.
        assert_eq!(code.len(), 3);
        assert_eq!((code[0].offset, code[1], code[2]), (1, nop(), Instruction::exit()));
    }

    #[test]
    fn a_label_that_is_nowhere_is_no_code() {
        let mut code = Assembler::default();
        let nowhere = code.label();
        code.jump(nowhere);
        assert_eq!(code.finish(), None);
    }

    #[test]
    fn far_jumps_reach() {
        for (between, length) in [(32_767, 1), (32_768, 3)] {
            let mut code = Assembler::default();
            let end = code.label();
            code.jump_if(ZERO, end);
            (0..between).for_each(|_| code.push(nop()));
            code.place(end);
            code.push(Instruction::exit());
            let code = code.finish().unwrap();
            assert_eq!(code.len(), between + length + 1);
            if length == 3 {
                assert_eq!((code[0].offset, code[1]), (1, Instruction::jump(1)));
                assert_eq!(code[2], Instruction::jump_far(32_768));
            } else {
                assert_eq!(code[0].offset, 32_767);
            }
        }
    }
}
