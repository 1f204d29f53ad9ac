//! Expressions of pcap-filter(7), compiled by libpcap.

mod compile;
mod error;
mod names;
mod pieces;
mod position;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::classic::Program;
pub use error::ExpressionError;

/// Most bytes of an expression.
pub const MAX_LENGTH: usize = 65_536;

/// An expression that libpcap has compiled once, so it is one; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression(String);

impl Expression {
    /// As it was written, without blanks around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does it match everything?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads an expression from bytes, as a command line or a file has them.
    ///
    /// # Errors
    /// They are no UTF-8, or no expression.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ExpressionError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.parse(),
            Err(error) => {
                let (good, _) = bytes.split_at(error.valid_up_to());
                let good = String::from_utf8_lossy(&good[..good.len().min(MAX_LENGTH)]);
                let message = format!("byte {} is not part of UTF-8 text", error.valid_up_to() + 1);
                Err(ExpressionError::at_end(&good, message))
            }
        }
    }

    /// The classic program. It has a snap length of 65,535 bytes, and is libpcap's optimised one; a
    /// long list is compiled in pieces, since libpcap's time grows with the cube of its length.
    ///
    /// `netmask` is that of the interface's IPv4 address, in the host's byte order (255.255.255.0
    /// is `0xffff_ff00`), or 0 if it has none. Only `ip broadcast` needs it, which matches the
    /// addresses whose host part is all zeroes or all ones; with 0 these are 0.0.0.0 and
    /// 255.255.255.255. (tcpdump gives libpcap the mask in network byte order, so that there
    /// `ip broadcast` looks at the wrong bits on little-endian machines.)
    ///
    /// # Errors
    /// libpcap refuses it: `ip broadcast` with the netmask 255.255.255.255, or it knows less than
    /// when the expression was made, such as the name of a port.
    pub fn compile(&self, netmask: u32) -> Result<Program, ExpressionError> {
        compile::compile(&self.0, netmask)
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let expression = Self(text.trim().to_owned());
        expression.compile(0)?;
        Ok(expression)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
