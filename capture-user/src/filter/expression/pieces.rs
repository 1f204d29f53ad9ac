//! A long expression, compiled in pieces.
//!
//! libpcap takes 6 s for a list of 500 hosts, and 60 times as long for 2,000. So the tree of the
//! expression is cut into pieces of some 20 hosts, which libpcap compiles and which are put behind
//! one another: where a piece returns the verdict upon which the next one decides, it jumps there.
//! A load beyond the end of the frame ends a classic program, in a piece as in the whole; but which loads
//! are made at all is up to libpcap's optimiser, so a frame that ends within its headers may be judged
//! otherwise in pieces.

use std::{ffi::CString, fmt::Write as _, ops::Range};

use super::{
    error::ExpressionError,
    position,
    tree::{self, Node, Shape},
    words::Word,
};
use crate::filter::{classic::Instruction, libpcap::Compiler};

/// What a piece may cost.
const PIECE: usize = 64;

/// What may cost that cannot be divided; libpcap takes three seconds for the worst of this size.
const UNDIVIDED: usize = 600;

/// `ret #k` and `ja k`.
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;

/// Compiles words that libpcap has read and found right.
pub(super) fn compile(
    compiler: &mut Compiler,
    text: &str,
    words: &[Word],
) -> Result<Vec<Instruction>, ExpressionError> {
    let shifts = words.iter().any(|word| shifts_offsets(&text[word.start..word.end]));
    let tree = if shifts { None } else { tree::read(text, words) };
    let mut pieces = Pieces { compiler, text, words };
    let program = match tree {
        Some(tree) => pieces.node(&tree),
        None => pieces.whole(0..words.len()),
    }?;
    if program.iter().any(|instruction| instruction.code == RETURN && instruction.k != 0) {
        return Ok(program);
    }
    Err(position::locate(compiler, text, words, position::MATCHES_NOTHING))
}

/// Keywords that change the meaning of all that is behind them. `vxlan` is one in newer versions of
/// libpcap.
fn shifts_offsets(word: &str) -> bool {
    matches!(word, "vlan" | "mpls" | "pppoes" | "geneve" | "vxlan")
}

struct Pieces<'a> {
    compiler: &'a mut Compiler,
    text: &'a str,
    words: &'a [Word],
}

impl Pieces<'_> {
    fn node(&mut self, node: &Node) -> Result<Vec<Instruction>, ExpressionError> {
        if node.weight <= PIECE {
            return self.piece(&self.source(node));
        }
        match &node.shape {
            Shape::Leaf { words, .. } if node.weight > UNDIVIDED => self.whole(words.clone()),
            Shape::Leaf { .. } => self.piece(&self.source(node)),
            Shape::Not(node) => self.node(node).map(negated),
            Shape::All(nodes) => self.list(nodes, true),
            Shape::Any(nodes) => self.list(nodes, false),
        }
    }

    /// `all` of the nodes or any of them; neighbours come into one piece while they fit.
    fn list(&mut self, nodes: &[Node], all: bool) -> Result<Vec<Instruction>, ExpressionError> {
        let mut program = Vec::new();
        let mut rest = nodes;
        while let Some(first) = rest.first() {
            let mut weight = 0;
            let fits = |node: &&Node| {
                weight += node.weight + 1;
                weight <= PIECE
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (together, behind) = rest.split_at(count);
            let piece = match together {
                [_] => self.node(first)?,
                nodes => self.piece(&self.joined(nodes, all))?,
            };
            if behind.is_empty() {
                program.extend(piece);
            } else {
                program.extend(leading_on(piece, all));
            }
            rest = behind;
        }
        Ok(program)
    }

    /// Words that stay together.
    fn whole(&mut self, words: Range<usize>) -> Result<Vec<Instruction>, ExpressionError> {
        let (first, last) = match &self.words[words.clone()] {
            [] => return self.piece(self.text),
            [first, .., last] => (*first, *last),
            [only] => (*only, *only),
        };
        let cost: usize = self.words[words].iter().map(|word| word.cost(self.text)).sum();
        if cost > UNDIVIDED {
            let message = format!(
                "too complex: {cost} words that cannot be compiled in pieces, at most {UNDIVIDED} \
                 can (behind `vlan`, `mpls`, `pppoes` or `geneve` all belong together, and a range \
                 of ports counts for 4)"
            );
            return Err(ExpressionError::at(self.text, first, message));
        }
        self.piece(&self.text[first.start..last.end])
    }

    /// What libpcap makes of a part; one that no frame matches is a program, too.
    fn piece(&mut self, source: &str) -> Result<Vec<Instruction>, ExpressionError> {
        let failed = |message: &str| ExpressionError::of(self.text, message);
        let text = CString::new(source).map_err(|error| failed(&error.to_string()))?;
        match self.compiler.compile(&text) {
            Ok(instructions) => Ok(instructions),
            Err(message) if message == position::MATCHES_NOTHING => {
                Ok(vec![Instruction { code: RETURN, jt: 0, jf: 0, k: 0 }])
            }
            Err(message) => Err(position::locate(self.compiler, self.text, self.words, &message)),
        }
    }

    /// The text of a part, with its qualifiers.
    fn source(&self, node: &Node) -> String {
        match &node.shape {
            Shape::Leaf { qualifiers, words } => {
                let text = |words: &[Word]| match words {
                    [] => "",
                    [first, ..] => {
                        let end = words.last().map_or(first.end, |last| last.end);
                        &self.text[first.start..end]
                    }
                };
                format!(
                    "{} {}",
                    text(&self.words[qualifiers.clone()]),
                    text(&self.words[words.clone()])
                )
            }
            Shape::Not(node) => format!("not ({})", self.source(node)),
            Shape::All(nodes) => self.joined(nodes, true),
            Shape::Any(nodes) => self.joined(nodes, false),
        }
    }

    fn joined(&self, nodes: &[Node], all: bool) -> String {
        let mut text = String::new();
        for (index, node) in nodes.iter().enumerate() {
            let between = match (index, all) {
                (0, _) => "",
                (_, true) => " and ",
                (_, false) => " or ",
            };
            // Writing to a String does not fail.
            let _ = write!(text, "{between}({})", self.source(node));
        }
        text
    }
}

/// The opposite verdicts.
fn negated(mut program: Vec<Instruction>) -> Vec<Instruction> {
    for instruction in program.iter_mut().filter(|instruction| instruction.code == RETURN) {
        instruction.k = if instruction.k == 0 { SNAP_LENGTH } else { 0 };
    }
    program
}

/// What libpcap returns for a match.
const SNAP_LENGTH: u32 = 65_535;

/// A piece that goes on behind its end with what it matches (`matched`), or with what it does not.
fn leading_on(mut piece: Vec<Instruction>, matched: bool) -> Vec<Instruction> {
    let leads_on =
        |instruction: &Instruction| instruction.code == RETURN && (instruction.k != 0) == matched;
    if piece.last().is_some_and(leads_on) {
        piece.pop();
    }
    let length = piece.len();
    for (index, instruction) in piece.iter_mut().enumerate() {
        if leads_on(instruction) {
            // A program of MAX_LENGTH bytes of text is far from 2³² instructions.
            let k = u32::try_from(length - index - 1).unwrap_or(u32::MAX);
            *instruction = Instruction { code: JUMP, jt: 0, jf: 0, k };
        }
    }
    piece
}
