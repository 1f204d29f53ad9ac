//! What is wrong with an expression, and where.

use std::fmt;

use super::words::Word;

/// Characters of the expression that a one-line message shows.
const SHOWN: usize = 60;

/// Characters of the word at fault that a one-line message shows.
const SHOWN_OF_WORD: usize = 40;

/// Why a text is no expression, and where.
///
/// `Display` is one line, for logs: it shows of a long expression what is around the place.
/// [`explain`](Self::explain) is for terminals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ExpressionError {
    /// The expression, without blanks around it; of one that is too long its beginning.
    pub text: String,
    /// Byte of the text at which it goes wrong: its length if the end is at fault, 0 if the whole
    /// is.
    pub position: usize,
    /// Bytes of the word at fault; 0 if the end or the whole is at fault.
    pub length: usize,
    /// What is wrong.
    pub message: String,
}

impl ExpressionError {
    /// The word is at fault.
    pub(super) fn at(text: &str, word: Word, message: impl Into<String>) -> Self {
        let (position, length) = (word.start, word.end - word.start);
        Self { text: text.to_owned(), position, length, message: message.into() }
    }

    /// The end is at fault.
    pub(super) fn at_end(text: &str, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), position: text.len(), length: 0, message: message.into() }
    }

    /// The whole is at fault.
    pub(super) fn of(text: &str, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), position: 0, length: 0, message: message.into() }
    }

    /// For a terminal: the message, the expression, and carets under the place in it. Of an
    /// expression that does not fit into `columns` (of which at least 20 are used) the part around
    /// the place is shown. The last line is left out if no place is at fault.
    #[must_use]
    pub fn explain(&self, columns: usize) -> String {
        let window = self.window(columns.max(20));
        let Self { message, .. } = self;
        if self.is_whole() {
            return format!("{message}\n{}", window.text);
        }
        let carets = "^".repeat(window.marked.max(1));
        format!("{message}\n{}\n{}{carets}", window.text, " ".repeat(window.before))
    }

    fn is_whole(&self) -> bool {
        self.position == 0 && self.length == 0
    }

    /// Characters before the place, and of it.
    fn place(&self) -> (usize, usize) {
        let before = self.text.get(..self.position).map_or(0, |text| text.chars().count());
        (before, self.word().chars().count())
    }

    fn word(&self) -> &str {
        self.text.get(self.position..self.position + self.length).unwrap_or_default()
    }

    /// As much of the text as fits, with the beginning of the place in it.
    fn window(&self, columns: usize) -> Window {
        let (before, marked) = self.place();
        let characters: Vec<char> = self.text.chars().map(printable).collect();
        let count = characters.len();
        if count <= columns {
            return Window { text: characters.into_iter().collect(), before, marked };
        }
        // A column at either side stays for the mark that something is left out.
        let inside = columns - 2;
        let start = before.saturating_sub(inside / 2).min(count - inside);
        let end = start + inside;
        let dots = |left_out: bool| if left_out { "…" } else { "" };
        let shown: String = characters[start..end].iter().collect();
        Window {
            text: format!("{}{shown}{}", dots(start > 0), dots(end < count)),
            before: before - start + usize::from(start > 0),
            marked: marked.min(end - before.min(end)),
        }
    }
}

/// The part of an expression that is shown.
struct Window {
    text: String,
    /// Characters of `text` before the place.
    before: usize,
    /// Characters of `text` that are the place.
    marked: usize,
}

/// As much of a word as goes into a message.
pub(super) fn shown(word: &str) -> String {
    let mut characters = word.chars().map(printable);
    let mut text: String = characters.by_ref().take(SHOWN_OF_WORD).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

/// Line breaks and what could drive a terminal are not shown.
fn printable(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        _ if character.is_control() => '?',
        _ => character,
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = self.window(SHOWN).text;
        out.write_str(&self.message)?;
        if self.text.is_empty() {
            return Ok(());
        }
        if self.is_whole() {
            return write!(out, ": `{window}`");
        }
        if self.length == 0 {
            return write!(out, " at the end of `{window}`");
        }
        let word = shown(self.word());
        if !self.message.contains(&format!("`{word}`")) {
            write!(out, " at `{word}`")?;
        }
        write!(out, " (character {}) in `{window}`", self.place().0 + 1)
    }
}
