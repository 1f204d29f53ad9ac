//! Filters: expressions of pcap-filter(7), and the trouble that a conversation must have shown.
//!
//! An [`Expression`] is compiled by libpcap into a [classic program](classic::Program), and this by
//! [`translate`] into instructions for the kernel, which are loaded into the filter's slot.

pub mod classic;
pub mod explain;
mod expression;
mod libpcap;
pub mod samples;
pub mod translate;
mod trouble;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use expression::{Expression, ExpressionError, MAX_LENGTH};
pub use trouble::{TroubleError, TroubleSet};

/// What is captured: frames that the expression matches, of conversations with one of these
/// troubles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Which frames; the empty expression matches all.
    pub expression: Expression,
    /// What their conversation must have shown; the empty set asks for nothing.
    pub trouble: TroubleSet,
}

/// What becomes of frames that the filter does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmatched {
    /// They go on to the host; always so in tap mode.
    Pass,
    /// They are dropped.
    Drop,
}

impl Filter {
    /// Does it match every frame?
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.expression.is_empty() && self.trouble.is_empty()
    }
}

impl fmt::Display for Filter {
    /// The expression, and the trouble in brackets; nothing for a filter that matches everything.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.expression.as_str())?;
        if self.trouble.is_empty() {
            return Ok(());
        }
        let blank = if self.expression.is_empty() { "" } else { " " };
        write!(out, "{blank}[trouble: {}]", self.trouble)
    }
}
