//! Addresses with a prefix length.

use std::{fmt, net::IpAddr};

/// An address with its prefix length, or the destination of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address; not masked.
    pub address: IpAddr,
    /// Bits, 0 to 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// Within `fe80::/10`. IPv4's 169.254.0.0/16 is not: nothing gives such an address to an
    /// interface without having been told to.
    #[must_use]
    pub fn is_link_local(&self) -> bool {
        match self.address {
            IpAddr::V6(address) => self.length >= 10 && address.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            0 => formatter.write_str(if self.address.is_ipv4() {
                "the IPv4 default"
            } else {
                "the IPv6 default"
            }),
            length => write!(formatter, "{}/{length}", self.address),
        }
    }
}
