//! Values that are text in the file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::ValueError;

/// A number of bytes. In the file a number, or a text with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// From the largest.
const UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl fmt::Display for Size {
    /// In the largest unit that shows the value exactly, so that the text can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes));
        match unit {
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let size = text.parse::<bytesize::ByteSize>();
        size.map(|size| Self(size.0)).map_err(|_| ValueError::Size(text.to_owned()))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(number) if number % 1024 != 0 || number == 0 => serializer.serialize_i64(number),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer, "a size, such as 1048576 or \"1MiB\"")
    }
}

/// Reads a value that has the same form as a number and as a text.
pub(super) fn number_or_text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
    expected: &'static str,
) -> Result<T, D::Error> {
    struct Visitor<T>(&'static str, std::marker::PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Visitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_any(Visitor(expected, std::marker::PhantomData))
}

/// Durations as text with units.
pub(super) mod duration {
    use std::time::Duration;

    use super::{Deserialize, Deserializer, Serializer, ValueError, de};

    pub(in super::super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|_| de::Error::custom(ValueError::Duration(text)))
    }
}

/// Socket addresses as text.
pub(super) mod listen {
    use std::net::SocketAddr;

    use super::{Deserialize, Deserializer, Serializer, ValueError, de};

    pub(in super::super) fn serialize<S: Serializer>(
        address: &SocketAddr,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom(ValueError::Listen(text)))
    }
}

/// [`Mode`](capture_common::abi::Mode) as text.
pub(super) mod mode {
    use capture_common::abi::Mode;

    use super::{Deserialize, Deserializer, Serializer, ValueError, de};

    pub(in super::super) fn serialize<S: Serializer>(
        mode: &Mode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match mode {
            Mode::Tap => "tap",
            Mode::Mirror => "mirror",
        })
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Mode, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "tap" => Ok(Mode::Tap),
            "mirror" => Ok(Mode::Mirror),
            other => Err(de::Error::custom(ValueError::Mode(other.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", 0), ("1500", 1500), ("256MiB", 256 << 20), ("1 GB", 1_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "-1", "MiB", "12 apples", "1..2"] {
            assert_eq!(text.parse::<Size>(), Err(ValueError::Size(text.into())));
        }
    }

    proptest! {
        #[test]
        fn sizes_read_back_exactly(bytes: u64, shift in 0u32..60) {
            for size in [Size(bytes), Size(bytes >> shift << shift), Size(1 << shift)] {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
        }

        #[test]
        fn any_text_is_a_size_or_an_error(text: String) {
            let _ = text.parse::<Size>();
        }
    }
}
