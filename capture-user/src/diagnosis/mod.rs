//! From conversations to verdicts: for each service, which side and which direction is at fault,
//! how sure that is, and why.
//!
//! Pure: what is known comes in as [`FlowRecord`]s, which may be those of any moment. The verdicts,
//! what they rest on and where they end: `docs/diagnosis.md`.

mod case;
mod context;
mod finding;
mod message;
mod query;
mod question;
mod rules;
mod services;
mod show;
mod text;
mod times;
mod verdict;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use finding::{Finding, Show};
pub use query::DiagnosisQuery;
pub use question::Question;
pub use services::ServiceReport;
pub use verdict::{Confidence, Direction, Side, Verdict};

use crate::flows::FlowRecord;

/// The answer to a [`Question`]. Its [`Display`](std::fmt::Display) is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The services, the worst first.
    pub services: Vec<ServiceReport>,
}

/// Says for each service that is asked about which side and direction is at fault.
///
/// `flows` should be all that is known, not only what is asked about: how a host's other packets
/// look, and whether others are seen leaving this gateway, is evidence.
#[must_use]
pub fn diagnose(flows: &[FlowRecord], question: &Question) -> Diagnosis {
    let context = context::Context::new(flows, question);
    Diagnosis { services: services::report(flows, &context) }
}
