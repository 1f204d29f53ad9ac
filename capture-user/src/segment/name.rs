//! Names of segments: `captured_<time of the first frame>_<stream>.<extension>`.

use std::fmt;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::settings::Format;

const PREFIX: &str = "captured_";
const PARTIAL_SUFFIX: &str = ".partial";
const TIME_FORMAT: &str = "%Y%m%dT%H%M%S.%9fZ";
/// Length of a formatted time.
const TIME_LENGTH: usize = "20260101T000000.000000000Z".len();
/// Longest stream name: with the rest of the name well under the 255 bytes of a file name.
const STREAM_LENGTH: usize = 128;

/// Name of a segment. Names order by time, then stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    first_frame: u64,
    stream: String,
    format: Format,
}

impl SegmentName {
    /// Names a segment whose first frame was captured at `first_frame` (nanoseconds since
    /// 1970-01-01 UTC). Characters of `stream` other than ASCII letters, digits, `.`, `-` and `_`
    /// become `-`; it is cut to 128 bytes.
    #[must_use]
    pub fn new(first_frame: u64, stream: &str, format: Format) -> Self {
        let mut stream: String = stream
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' })
            .take(STREAM_LENGTH)
            .collect();
        if stream.is_empty() {
            stream.push('-');
        }
        Self { first_frame, stream, format }
    }

    /// Reads the name of a published segment; `None` for any name that is not ours.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        let rest = file_name.strip_prefix(PREFIX)?;
        let (time, rest) = rest.split_at_checked(TIME_LENGTH)?;
        let rest = rest.strip_prefix('_')?;
        let (stream, extension) = rest.rsplit_once('.')?;
        let format = Format::ALL.into_iter().find(|format| format.extension() == extension)?;
        let time = DateTime::strptime(TIME_FORMAT, time).ok()?;
        let time = TimeZone::UTC.to_timestamp(time).ok()?;
        let name = Self::new(u64::try_from(time.as_nanosecond()).ok()?, stream, format);
        // Spellings that parse to the same name are not what we wrote.
        (name.to_string() == file_name).then_some(name)
    }

    /// Reads the hidden name of a segment that is being written.
    #[must_use]
    pub fn parse_partial(file_name: &str) -> Option<Self> {
        Self::parse(file_name.strip_prefix('.')?.strip_suffix(PARTIAL_SUFFIX)?)
    }

    /// The hidden name that the segment has until it is published.
    #[must_use]
    pub fn partial(&self) -> String {
        format!(".{self}{PARTIAL_SUFFIX}")
    }

    /// When the first frame was captured, in nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn first_frame(&self) -> u64 {
        self.first_frame
    }

    /// The format of the segment.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The name one nanosecond later: for a segment whose own name is taken.
    #[must_use]
    pub(super) fn bumped(&self) -> Self {
        let first_frame = self.first_frame.checked_add(1).unwrap_or(self.first_frame - 1);
        Self { first_frame, ..self.clone() }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 64 bits of nanoseconds end in the year 2554, far below the last that jiff knows.
        let time = Timestamp::from_nanosecond(i128::from(self.first_frame)).unwrap_or_default();
        let (time, extension) = (time.strftime(TIME_FORMAT), self.format.extension());
        write!(f, "{PREFIX}{time}_{}.{extension}", self.stream)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn looks_as_documented() {
        let name = SegmentName::new(1_792_158_005_000_000_042, "eth1-q0", Format::Pcapng);
        assert_eq!(name.to_string(), "captured_20261016T134005.000000042Z_eth1-q0.pcapng");
        assert_eq!(name.partial(), ".captured_20261016T134005.000000042Z_eth1-q0.pcapng.partial");
    }

    #[test]
    fn other_files_are_not_ours() {
        let good = "captured_20261016T134005.000000042Z_tap.pcapng";
        assert!(SegmentName::parse(good).is_some());
        for other in [
            "",
            ".lock",
            "notes.txt",
            "captured_",
            "captured_20261016T134005.000000042Z.pcapng",
            "captured_20261016T134005.000000042Z_.pcapng",
            "captured_20261016T134005.000000042Z_tap.pcapng.gz",
            "captured_20261016T134005.000000042Z_tap.pcapng.partial",
            "captured_20261316T125325.000000042Z_tap.pcapng",
            "captured_20261016T134005.00000004ZZ_tap.pcapng",
            "captured_19261016T125325.000000042Z_tap.pcapng",
            "captured_20261016T134005.000000042Z_a b.pcapng",
            "captured_20261016T134005.00000004äZ_tap.pcapng",
            ".captured_20261016T134005.000000042Z_tap.pcapng",
        ] {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn survives_its_text(time: u64, stream in ".{0,200}", pcap: bool) {
            let format = if pcap { Format::Pcap } else { Format::Pcapng };
            let name = SegmentName::new(time, &stream, format);
            prop_assert!(name.partial().len() < 255);
            prop_assert_eq!(SegmentName::parse(&name.to_string()), Some(name.clone()));
            prop_assert_eq!(SegmentName::parse_partial(&name.partial()), Some(name.clone()));
            prop_assert_eq!(name.first_frame(), time);
        }

        #[test]
        fn text_orders_like_time(a: u64, b: u64) {
            let (one, two) =
                (SegmentName::new(a, "tap", Format::Pcap), SegmentName::new(b, "tap", Format::Pcap));
            prop_assert_eq!(one.to_string().cmp(&two.to_string()), a.cmp(&b));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = SegmentName::parse(&text);
            let _ = SegmentName::parse_partial(&text);
        }
    }
}
