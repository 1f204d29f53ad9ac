//! Trouble as a condition.

use std::{fmt, str::FromStr};

use capture_common::flow::shown;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A set of troubles; a conversation is in it that has shown one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TroubleSet(u32);

/// A word that names no trouble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no trouble: allowed are {}", names())]
pub struct TroubleError {
    word: String,
}

/// The names, and the bits of [`shown`] that they stand for.
const NAMES: [(&str, u32); 9] = [
    ("syn-retransmission", shown::SYN_RETRANSMISSION),
    ("retransmission", shown::RETRANSMISSION),
    ("out-of-order", shown::OUT_OF_ORDER),
    ("duplicate-ack", shown::DUPLICATE_ACK),
    ("lost-segment", shown::LOST_SEGMENT),
    ("zero-window", shown::ZERO_WINDOW),
    ("reset", shown::RESET),
    ("icmp-error", shown::ICMP_ERROR),
    ("any", shown::ANY),
];

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl TroubleSet {
    /// Bits of [`shown`].
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Does it ask for nothing?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for TroubleSet {
    type Err = TroubleError;

    /// Names with commas between them; the empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, TroubleError> {
        let mut set = Self::default();
        let words = text.split(',').map(str::trim);
        for word in words.filter(|_| !text.trim().is_empty()) {
            let named = NAMES.iter().find(|(name, _)| *name == word);
            let (_, bits) = named.ok_or_else(|| TroubleError { word: word.to_owned() })?;
            set.0 |= bits;
        }
        Ok(set)
    }
}

impl fmt::Display for TroubleSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == shown::ANY {
            return out.write_str("any");
        }
        // From the most bits to the fewest: some names stand for what others do, and more.
        let mut names = NAMES;
        names.sort_by_key(|(_, bits)| std::cmp::Reverse(bits.count_ones()));
        let mut left = self.0;
        let mut said = Vec::new();
        for (name, bits) in names {
            if left & bits == bits && bits != shown::ANY {
                said.push((bits, name));
                left &= !bits;
            }
        }
        said.sort_by_key(|(bits, _)| NAMES.iter().position(|(_, other)| other == bits));
        out.write_str(&said.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(","))?;
        Ok(())
    }
}

impl Serialize for TroubleSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TroubleSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_read_back() {
        for text in ["", "reset", "retransmission,reset,icmp-error", "any"] {
            assert_eq!(text.parse::<TroubleSet>().unwrap().to_string(), text);
        }
        assert_eq!("reset, any".parse::<TroubleSet>().unwrap().to_string(), "any");
        let error = "reset,rst".parse::<TroubleSet>().unwrap_err().to_string();
        assert!(error.starts_with("`rst` is no trouble: allowed are syn-retr"), "{error}");
        assert!("reset,".parse::<TroubleSet>().is_err());
    }
}
