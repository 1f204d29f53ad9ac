//! Values of options.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use capture_common::abi::Mode;

use crate::config::{MAX_SNAP_LENGTH, Size, ValueError, check_interface_name};

/// An interface with an optional mode, such as `eth0` or `eth0:mirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceArg {
    /// Name of the interface.
    pub name: String,
    /// The mode, if given.
    pub mode: Option<Mode>,
}

impl FromStr for InterfaceArg {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (name, mode) = match text.rsplit_once(':') {
            None => (text, None),
            Some((name, "tap")) => (name, Some(Mode::Tap)),
            Some((name, "mirror")) => (name, Some(Mode::Mirror)),
            Some((name, suffix)) => {
                let (name, suffix) = (name.to_owned(), suffix.to_owned());
                return Err(ValueError::InterfaceMode { name, suffix });
            }
        };
        check_interface_name(name)?;
        Ok(Self { name: name.to_owned(), mode })
    }
}

/// tcpdump's `-C`: millions of bytes, or a whole number with a binary suffix; not 0.
pub(super) fn file_size(text: &str) -> Result<Size, ValueError> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1_000_000),
    };
    let number: Option<u64> = digits.parse().ok().filter(|number| *number != 0);
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.map(Size).ok_or_else(|| ValueError::FileSize(text.to_owned()))
}

/// tcpdump's `-s`: 0 stands for the most.
pub(super) fn snap_length(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Ok(MAX_SNAP_LENGTH),
        Ok(length) if length <= MAX_SNAP_LENGTH => Ok(length),
        _ => Err(format!("allowed are 0 to {MAX_SNAP_LENGTH}")),
    }
}

/// A directory; `-`, standard output in tcpdump, is none.
pub(super) fn directory(text: &str) -> Result<PathBuf, ValueError> {
    match text {
        "" | "-" => Err(ValueError::Directory(text.to_owned())),
        path => Ok(path.into()),
    }
}

/// Name of an interface.
pub(super) fn interface(text: &str) -> Result<String, ValueError> {
    check_interface_name(text).map(|()| text.to_owned())
}

/// An address with a port.
pub(super) fn listen(text: &str) -> Result<SocketAddr, ValueError> {
    text.parse().map_err(|_| ValueError::Listen(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_have_a_mode_or_none() {
        let parse = |text: &str| text.parse::<InterfaceArg>();
        let arg = |name: &str, mode| Ok(InterfaceArg { name: name.into(), mode });
        assert_eq!(parse("eth0"), arg("eth0", None));
        assert_eq!(parse("eth0.5:tap"), arg("eth0.5", Some(Mode::Tap)));
        assert_eq!(parse("eth0:mirror"), arg("eth0", Some(Mode::Mirror)));
        assert!(matches!(parse("eth0:1"), Err(ValueError::InterfaceMode { .. })));
        assert!(matches!(parse("eth0:"), Err(ValueError::InterfaceMode { .. })));
        for text in ["", ":tap", "a:b:tap", "much-too-long-a-name"] {
            assert!(matches!(parse(text), Err(ValueError::InterfaceName(_))), "{text}");
        }
    }

    #[test]
    fn file_sizes_are_those_of_tcpdump() {
        for (text, bytes) in [("1", 1_000_000), ("2k", 2048), ("3M", 3 << 20), ("1G", 1 << 30)] {
            assert_eq!(file_size(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "k", "0", "0k", "-1", "1.5", "5kb", "18446744073709551615g", "5µ"] {
            assert_eq!(file_size(text), Err(ValueError::FileSize(text.into())), "{text}");
        }
    }

    #[test]
    fn snap_length_zero_is_the_most() {
        assert_eq!(snap_length("0"), Ok(262_144));
        assert_eq!(snap_length("68"), Ok(68));
        assert!(snap_length("-1").is_err());
    }
}
