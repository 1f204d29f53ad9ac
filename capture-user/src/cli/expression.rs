//! Filters on the command line, as in tcpdump.

use std::{fs, io, path::PathBuf};

use clap::Args;

use crate::filter::{Expression, ExpressionError, TroubleSet};

/// A filter on the command line.
#[derive(Clone, Debug, Default, Args)]
pub struct GivenFilter {
    /// What to capture: an expression of pcap-filter(7), as in tcpdump, in one word or in several:
    /// tcp port 80 and host 203.0.113.4.
    #[arg(value_name = "EXPRESSION", conflicts_with = "file")]
    pub words: Vec<String>,

    /// Read the expression from this file, as in tcpdump: from each # to the end of its line is a
    /// comment.
    #[arg(short = 'F', long = "filter-file", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Only frames of conversations that have shown one of these, from then on: retransmission,
    /// syn-retransmission, out-of-order, duplicate-ack, lost-segment, zero-window, reset, icmp-error,
    /// or any, with commas between them.
    #[arg(long, value_name = "LIST")]
    pub trouble: Option<TroubleSet>,
}

/// Why there is no expression.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// The command line's is none.
    #[error("{}", pointed(.0))]
    Words(#[source] ExpressionError),
    /// The file's is none.
    #[error("{}: {}", file.display(), pointed(source))]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: ExpressionError,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl GivenFilter {
    /// The expression; `None` if none was given, not even an empty one.
    ///
    /// # Errors
    /// It is none, or its file cannot be read.
    pub fn expression(&self) -> Result<Option<Expression>, GivenError> {
        if let Some(file) = &self.file {
            let file = || file.clone();
            let text = fs::read_to_string(file())
                .map_err(|source| GivenError::Read { file: file(), source })?;
            let expression = without_comments(&text).parse();
            return expression
                .map(Some)
                .map_err(|source| GivenError::File { file: file(), source });
        }
        if self.words.is_empty() {
            return Ok(None);
        }
        self.words.join(" ").parse().map(Some).map_err(GivenError::Words)
    }
}

/// Columns of a terminal, as most have.
const COLUMNS: usize = 100;

/// For a terminal: with a mark under the place.
fn pointed(error: &ExpressionError) -> String {
    error.explain(COLUMNS)
}

/// As tcpdump does it: comments become blanks.
fn without_comments(text: &str) -> String {
    let mut is_comment = false;
    text.chars()
        .map(|c| {
            is_comment = c != '\n' && (is_comment || c == '#');
            if is_comment { ' ' } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_and_none_is_not_an_empty_one() {
        let given = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            GivenFilter { words, ..GivenFilter::default() }.expression()
        };
        assert_eq!(given(&[]).unwrap(), None);
        assert_eq!(given(&[""]).unwrap(), Some(Expression::default()));
        for words in [&["tcp", "port", "80"][..], &["tcp port 80"]] {
            assert_eq!(given(words).unwrap().unwrap().as_str(), "tcp port 80");
        }
        let text = given(&["tcp", "porrt", "80"]).unwrap_err().to_string();
        assert!(text.contains("tcp porrt 80"), "{text}");
    }

    #[test]
    fn files_have_comments() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web");
        let given = GivenFilter { file: Some(file.clone()), ..GivenFilter::default() };
        let text = given.expression().unwrap_err().to_string();
        assert!(
            text.starts_with(&format!("{}: cannot be read: No such", file.display())),
            "{text}"
        );
        fs::write(&file, "# the web's # ports\ntcp port 80 # plain\n  or tcp port 443\n#end")
            .unwrap();
        let expression = given.expression().unwrap().unwrap();
        let words: Vec<&str> = expression.as_str().split_whitespace().collect();
        assert_eq!(words.join(" "), "tcp port 80 or tcp port 443");
        fs::write(&file, "tcp port\n").unwrap();
        assert!(given.expression().unwrap_err().to_string().contains("web: "));
    }
}
