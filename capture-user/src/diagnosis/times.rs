//! Times as in RFC 3339, in JSON and for people.

use jiff::Timestamp;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Of nanoseconds since 1970. Any number of them is a time that jiff knows.
fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default()
}

/// To the millisecond, in UTC.
pub(super) fn people(nanoseconds: i64) -> String {
    format!("{:.3}", timestamp(nanoseconds))
}

pub(super) fn serialize<S: Serializer>(nanoseconds: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&timestamp(*nanoseconds))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let text = String::deserialize(from)?;
    let time: Timestamp = text.parse().map_err(D::Error::custom)?;
    i64::try_from(time.as_nanosecond()).map_err(D::Error::custom)
}
