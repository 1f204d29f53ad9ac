//! Where libpcap stops.
//!
//! libpcap tells what is wrong, but not where. Its parser reads a word only if all words before
//! could begin an expression, and its scanner keeps the first error. So a prefix of the expression is
//! followed by a number that is too large for 32 bits: if libpcap complains about this number, it has
//! read that far and the prefix is good. The first word with which the prefix is not good any more
//! is found by halving. Nothing is compiled for it, and each try takes milliseconds at most.

use std::{ffi::CString, fmt::Write as _};

use super::{
    error::{ExpressionError, shown},
    words::{Kind, Word},
};
use crate::filter::libpcap::Compiler;

/// What the scanner takes for no word, without an error of its own.
const NO_WORD: &str = "\"";

const SYNTAX: &str = "syntax error";

/// What libpcap says of an expression that no frame can match.
pub(super) const MATCHES_NOTHING: &str = "expression rejects all packets";

/// Tries prefixes of an expression.
pub(super) struct Prober<'a> {
    compiler: &'a mut Compiler,
    text: &'a str,
    words: &'a [Word],
    /// A number that is too large, and not in the text.
    too_large: String,
}

impl<'a> Prober<'a> {
    pub(super) fn new(compiler: &'a mut Compiler, text: &'a str, words: &'a [Word]) -> Self {
        let mut number = 90_000_000_000_u64;
        // A text of 65,536 bytes does not hold more numbers of this length than it has bytes.
        while text.contains(&number.to_string()) {
            number += 1;
        }
        Self { compiler, text, words, too_large: number.to_string() }
    }

    /// What libpcap says to the first words, with something before and behind them that makes them
    /// no expression.
    fn message(&mut self, before: &str, count: usize, behind: &str) -> String {
        let end = count.checked_sub(1).and_then(|last| self.words.get(last)).map_or(0, |w| w.end);
        let mut text = String::with_capacity(end + 32);
        let written = write!(text, "{before}{} {behind}", &self.text[..end]);
        let text = written.ok().and_then(|()| CString::new(text).ok());
        let compiled = text.map(|text| self.compiler.compile(&text));
        compiled.and_then(Result::err).unwrap_or_default()
    }

    /// Can these words begin an expression?
    fn is_good(&mut self, count: usize) -> bool {
        let too_large = self.too_large.clone();
        self.message("", count, &too_large).contains(&too_large)
    }

    /// What libpcap has against the whole; it is only read and not compiled.
    pub(super) fn refusal(&mut self) -> Option<String> {
        let behind = format!(") {}", self.too_large);
        let message = self.message("(", self.words.len(), &behind);
        (!message.contains(&self.too_large)).then_some(message)
    }

    /// The first word with which the words so far cannot begin an expression; `None` if all can.
    fn first_bad(&mut self) -> Option<usize> {
        let (mut good, mut bad) = (0, self.words.len() + 1);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if self.is_good(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        (good < self.words.len()).then_some(good)
    }

    /// The word that a message is about that libpcap gave when it had read `count` words. It may
    /// have read one more than it needed.
    fn blamed(&mut self, count: usize, message: &str) -> usize {
        let mut count = count;
        while count > 1 && self.message("", count - 1, NO_WORD) == message {
            count -= 1;
        }
        let closes = |index: &usize| self.words[*index].kind != Kind::Close;
        (0..count).rev().find(closes).unwrap_or(0)
    }
}

/// The error that a message of libpcap about the words is.
pub(super) fn locate(
    compiler: &mut Compiler,
    text: &str,
    words: &[Word],
    message: &str,
) -> ExpressionError {
    let (said, message) = (message, plain(message));
    if words.is_empty() || is_about_whole(said) {
        return ExpressionError::of(text, message);
    }
    let mut prober = Prober::new(compiler, text, words);
    let bad = prober.first_bad();
    if message == SYNTAX {
        return syntax_error(text, words, bad);
    }
    let count = bad.map_or(words.len(), |bad| bad + 1);
    let blamed = prober.blamed(count, said);
    ExpressionError::at(text, words[blamed], message)
}

/// libpcap's messages without what is the same in all of them.
fn plain(message: &str) -> &str {
    let message = message.strip_prefix("can't parse filter expression: ").unwrap_or(message);
    match message {
        "syntax error in filter expression" => SYNTAX,
        "memory exhausted" => "nested too deeply: parentheses, brackets, `not` or `-`",
        MATCHES_NOTHING => "the expression matches no frame at all",
        "out of memory" => "out of memory, or too long a word",
        _ => message.trim_end(),
    }
}

/// Messages of the optimiser, which comes after the parser.
fn is_about_whole(message: &str) -> bool {
    message == MATCHES_NOTHING || message.contains("optimi")
}

fn syntax_error(text: &str, words: &[Word], bad: Option<usize>) -> ExpressionError {
    let unclosed = unclosed(&words[..bad.unwrap_or(words.len())]);
    match (bad, unclosed) {
        (None, Some(open)) => {
            let message = format!("`{}` is not closed", &text[open.start..open.end]);
            ExpressionError::at(text, open, message)
        }
        (None, None) => ExpressionError::at_end(text, SYNTAX),
        (Some(bad), unclosed) => {
            let word = words[bad];
            let shown = shown(&text[word.start..word.end]);
            let before = bad.checked_sub(1).map(|before| words[before].kind);
            let protocol = matches!(word.kind, Kind::Protocol | Kind::Link);
            let message = match (word.kind, before) {
                (Kind::Close | Kind::CloseBracket, _) if unclosed.is_none() => {
                    format!("`{shown}` closes nothing")
                }
                (_, Some(Kind::Proto)) if protocol => {
                    format!("`{shown}` is a keyword, as a protocol's name it is `\\{shown}`")
                }
                _ => SYNTAX.to_owned(),
            };
            ExpressionError::at(text, word, message)
        }
    }
}

/// The last parenthesis or bracket that is not closed.
fn unclosed(words: &[Word]) -> Option<Word> {
    let mut open = Vec::new();
    for word in words {
        match word.kind {
            Kind::Open | Kind::OpenBracket => open.push(*word),
            Kind::Close | Kind::CloseBracket => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}
