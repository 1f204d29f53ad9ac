//! A long expression as a tree of its conditions.
//!
//! It follows libpcap's grammar: `and` and `or` bind alike and to the left, and an operand without
//! qualifiers has the last ones (`port 80 or 443`). libpcap has read the expression before, so what
//! does not fit here gives `None`, which only means that the expression is not divided.

use std::ops::Range;

use super::words::{Kind, Word};

/// An expression and what its words cost.
pub(super) struct Node {
    pub(super) weight: usize,
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    /// A condition: the words of it, and before them the qualifiers, which may stand elsewhere.
    Leaf {
        qualifiers: Range<usize>,
        words: Range<usize>,
    },
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

/// Reads all words.
pub(super) fn read(text: &str, words: &[Word]) -> Option<Node> {
    let mut reader = Reader { text, words, closing: closing(words)?, at: 0, qualifiers: 0..0 };
    let node = reader.chain()?;
    (reader.at == words.len()).then_some(node)
}

/// For each opening parenthesis or bracket where it is closed.
fn closing(words: &[Word]) -> Option<Vec<usize>> {
    let mut closing = vec![0; words.len()];
    let mut open = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match word.kind {
            Kind::Open | Kind::OpenBracket => open.push(index),
            Kind::Close | Kind::CloseBracket => closing[open.pop()?] = index,
            _ => {}
        }
    }
    open.is_empty().then_some(closing)
}

struct Reader<'a> {
    text: &'a str,
    words: &'a [Word],
    closing: Vec<usize>,
    at: usize,
    /// The qualifiers that an operand without ones gets.
    qualifiers: Range<usize>,
}

impl Reader<'_> {
    fn kind(&self, index: usize) -> Option<Kind> {
        self.words.get(index).map(|word| word.kind)
    }

    /// Operands with `and` and `or` between them, up to the end or a closing parenthesis.
    fn chain(&mut self) -> Option<Node> {
        let mut node = self.operand()?;
        loop {
            let all = match self.kind(self.at) {
                Some(Kind::And) => true,
                Some(Kind::Or) => false,
                Some(Kind::Close) | None => return Some(node),
                Some(_) => return None,
            };
            self.at += 1;
            let right = self.operand()?;
            node = join(node, right, all);
        }
    }

    fn operand(&mut self) -> Option<Node> {
        let mut negated = false;
        while self.kind(self.at) == Some(Kind::Not) {
            negated = !negated;
            self.at += 1;
        }
        let node = if self.opens_group() {
            let qualifiers = self.qualifiers.clone();
            self.at += 1;
            let inside = self.chain()?;
            // chain() ends at a closing parenthesis or at the end.
            self.kind(self.at)?;
            self.at += 1;
            self.qualifiers = qualifiers;
            inside
        } else {
            self.condition()?
        };
        let weight = node.weight + 1;
        Some(if negated { Node { weight, shape: Shape::Not(Box::new(node)) } } else { node })
    }

    /// A parenthesis around conditions, not around a number.
    fn opens_group(&self) -> bool {
        let opens = self.kind(self.at) == Some(Kind::Open);
        let behind = self.closing.get(self.at).and_then(|closing| self.kind(closing + 1));
        opens && !matches!(behind, Some(Kind::Operator | Kind::Comparison))
    }

    fn condition(&mut self) -> Option<Node> {
        let start = self.at;
        if let Some(end) = self.end_of_qualifiers(start) {
            self.qualifiers = start..end;
            self.at = end;
            if self.kind(end) == Some(Kind::Not) || self.opens_group() {
                return self.operand();
            }
            return self.leaf(end);
        }
        let end = self.end_of_condition(start);
        let compares = self.words[start..end].iter().any(|word| word.kind == Kind::Comparison);
        let inherits = matches!(self.kind(start), Some(Kind::Value | Kind::Name)) && !compares;
        if !inherits {
            self.qualifiers = 0..0;
        }
        self.leaf(start)
    }

    fn leaf(&mut self, start: usize) -> Option<Node> {
        let words = start..self.end_of_condition(start);
        let qualifiers = self.qualifiers.clone();
        self.at = words.end;
        let costs = self.words[words.clone()].iter().map(|word| word.cost(self.text));
        let weight = qualifiers.len() + costs.sum::<usize>();
        (!words.is_empty()).then_some(Node { weight, shape: Shape::Leaf { qualifiers, words } })
    }

    /// Behind the qualifiers that start here, if some do that ask for an operand.
    fn end_of_qualifiers(&self, start: usize) -> Option<usize> {
        let mut at = start;
        if matches!(self.kind(at), Some(Kind::Protocol | Kind::Link)) {
            at += 1;
        }
        let directed = self.kind(at) == Some(Kind::Direction);
        if directed {
            at += 1;
            let joined = matches!(self.kind(at), Some(Kind::And | Kind::Or));
            if joined && self.kind(at + 1) == Some(Kind::Direction) {
                at += 2;
            }
        }
        match self.kind(at) {
            Some(Kind::Host | Kind::Net | Kind::Port) => Some(at + 1),
            Some(Kind::Proto | Kind::Gateway) if !directed => Some(at + 1),
            _ => directed.then_some(at),
        }
    }

    /// Behind the condition that starts here.
    fn end_of_condition(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            match self.kind(at) {
                None | Some(Kind::And | Kind::Or | Kind::Close) => return at,
                Some(Kind::Open | Kind::OpenBracket) => at = self.closing[at] + 1,
                Some(_) => at += 1,
            }
        }
    }
}

/// Both or either; operands of the same kind come into one list.
fn join(left: Node, right: Node, all: bool) -> Node {
    let weight = left.weight + right.weight + 1;
    let mut nodes = match left.shape {
        Shape::All(nodes) if all => nodes,
        Shape::Any(nodes) if !all => nodes,
        shape => vec![Node { weight: left.weight, shape }],
    };
    nodes.push(right);
    Node { weight, shape: if all { Shape::All(nodes) } else { Shape::Any(nodes) } }
}
