//! What must be on the wire in a scene.

use std::{fmt, ops::RangeInclusive};

use super::{
    asking::Outcome,
    trouble::{self, Trouble},
};

/// What must come of a scene.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    /// How it ends for the client.
    pub outcome: Outcome,
    /// How much of what must be seen; of all that is not named, nothing must.
    pub counts: &'static [(Count, RangeInclusive<u64>)],
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// SYNs sent again.
    SynAgain,
    /// SYN-ACKs sent again.
    SynAckAgain,
    /// Data sent again.
    DataAgain,
    /// Resets.
    Reset,
    /// Segments that close the receive window.
    ZeroWindow,
    /// ICMP destination unreachable; the message is as in [`Trouble::unreachables`].
    Unreachable(&'static str),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SynAgain => f.write_str("SYN retransmissions"),
            Self::SynAckAgain => f.write_str("SYN-ACK retransmissions"),
            Self::DataAgain => f.write_str("data retransmissions"),
            Self::Reset => f.write_str("resets"),
            Self::ZeroWindow => f.write_str("zero windows"),
            Self::Unreachable(message) => write!(f, "ICMP {}", trouble::describe(message)),
        }
    }
}

/// All but the ICMP messages, which are told apart by more than this.
const PLAIN: [Count; 5] =
    [Count::SynAgain, Count::SynAckAgain, Count::DataAgain, Count::Reset, Count::ZeroWindow];

impl Expectation {
    /// What was expected and did not happen, in words; empty when all did.
    #[must_use]
    pub fn disappointments(&self, outcome: Outcome, trouble: &Trouble) -> Vec<String> {
        let mut found = Vec::new();
        if outcome != self.outcome {
            found.push(format!("the client's request: {outcome}, expected: {}", self.outcome));
        }
        for (count, range) in self.counts {
            let seen = trouble.count(*count);
            if !range.contains(&seen) {
                found.push(format!("{count}: {seen}, expected {}", words(range)));
            }
        }
        let is_named = |count: Count| self.counts.iter().any(|(named, _)| *named == count);
        for count in PLAIN.into_iter().filter(|count| !is_named(*count)) {
            let seen = trouble.count(count);
            if seen > 0 {
                found.push(format!("{count}: {seen}, expected none"));
            }
        }
        for (message, seen) in &trouble.unreachables {
            let named =
                |count: &Count| matches!(count, Count::Unreachable(named) if named == message);
            if !self.counts.iter().any(|(count, _)| named(count)) {
                let what = trouble::describe(message);
                found.push(format!("ICMP {what}: {seen}, expected none"));
            }
        }
        found
    }
}

fn words(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REJECTED: Expectation = Expectation {
        outcome: Outcome::TimedOut,
        counts: &[(Count::SynAgain, 2..=3), (Count::Unreachable("3/3"), 4..=4)],
    };

    fn rejected() -> Trouble {
        let unreachables = [("3/3".to_owned(), 4)].into();
        Trouble { syn_retransmissions: 3, unreachables, ..Trouble::default() }
    }

    #[test]
    fn what_did_not_happen_is_named() {
        assert!(REJECTED.disappointments(Outcome::TimedOut, &rejected()).is_empty());
        let found = REJECTED.disappointments(Outcome::Refused, &Trouble::default());
        assert_eq!(
            found,
            [
                "the client's request: refused, expected: timed out",
                "SYN retransmissions: 0, expected 2 to 3",
                "ICMP 3/3 port unreachable: 0, expected 4",
            ]
        );
    }

    #[test]
    fn what_should_not_have_happened_is_named() {
        let mut trouble = Trouble { resets: 1, zero_windows: 2, ..rejected() };
        trouble.unreachables.insert("3/13".to_owned(), 1);
        let found = REJECTED.disappointments(Outcome::TimedOut, &trouble);
        assert_eq!(
            found,
            [
                "resets: 1, expected none",
                "zero windows: 2, expected none",
                "ICMP 3/13 prohibited: 1, expected none",
            ]
        );
    }
}
