//! What one conversation suffers from; cases of the same kind are put together to a finding.

use std::collections::BTreeMap;

use super::{
    context::Context,
    rules::Cause,
    verdict::{Confidence, Direction, Side, Verdict},
};
use crate::flows::FlowRecord;

/// Numbers by name: of several conversations they add up, or the greatest one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    sums: BTreeMap<&'static str, u64>,
    maxima: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// A number that adds up.
    pub fn sum(mut self, name: &'static str, number: u64) -> Self {
        *self.sums.entry(name).or_default() += number;
        self
    }

    /// A number of which the greatest counts.
    pub fn max(mut self, name: &'static str, number: u64) -> Self {
        let greatest = self.maxima.entry(name).or_default();
        *greatest = number.max(*greatest);
        self
    }

    /// 0 for what was never counted.
    pub fn get(&self, name: &str) -> u64 {
        self.sums.get(name).or_else(|| self.maxima.get(name)).copied().unwrap_or(0)
    }

    /// Those of another conversation, too.
    pub fn merge(&mut self, other: &Self) {
        for (name, number) in &other.sums {
            *self.sums.entry(name).or_default() += number;
        }
        for (name, number) in &other.maxima {
            let greatest = self.maxima.entry(name).or_default();
            *greatest = (*number).max(*greatest);
        }
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let numbers = self.sums.iter().chain(&self.maxima);
        numbers.map(|(name, number)| ((*name).to_string(), *number)).collect()
    }
}

/// What tells kinds of cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub verdict: Verdict,
    pub side: Side,
    pub direction: Direction,
    pub cause: Cause,
}

/// One conversation's trouble of one kind.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub kind: Kind,
    pub confidence: Confidence,
    pub counts: Counts,
    /// Nanoseconds since 1970.
    pub first: i64,
    /// Nanoseconds since 1970.
    pub last: i64,
}

impl Case {
    /// A case that lasts from the conversation's first trouble to its last, as far as that is asked
    /// for.
    pub fn new(
        flow: &FlowRecord,
        context: &Context<'_>,
        kind: Kind,
        confidence: Confidence,
        counts: Counts,
    ) -> Self {
        let (first, last) = flow.trouble.unwrap_or((flow.first, flow.last));
        let first = context.question.since.map_or(first, |since| first.max(since));
        Self { kind, confidence, counts, first, last: last.max(first) }
    }
}
