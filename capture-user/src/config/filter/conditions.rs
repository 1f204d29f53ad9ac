//! What a rule can ask for.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::{error::ValueError, values::number_or_text};

/// An IP version, an IP protocol, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    ip_version: Option<u8>,
    number: Option<u8>,
}

const PROTOCOLS: [(&str, Protocol); 7] = [
    ("tcp", Protocol::TCP),
    ("udp", Protocol { ip_version: None, number: Some(17) }),
    ("icmp", Protocol::ICMP),
    ("icmp6", Protocol { ip_version: Some(6), number: Some(58) }),
    ("sctp", Protocol { ip_version: None, number: Some(132) }),
    ("ip", Protocol { ip_version: Some(4), number: None }),
    ("ip6", Protocol { ip_version: Some(6), number: None }),
];

impl Protocol {
    /// TCP over IPv4 or IPv6.
    pub const TCP: Self = Self { ip_version: None, number: Some(6) };
    /// ICMP over IPv4.
    pub const ICMP: Self = Self { ip_version: Some(4), number: Some(1) };

    pub(super) fn ip_version(self) -> Option<u8> {
        self.ip_version
    }

    pub(super) fn number(self) -> Option<u8> {
        self.number
    }

    /// The names, for people.
    pub(crate) fn names() -> String {
        PROTOCOLS.map(|(name, _)| name).join(", ")
    }

    /// Can a frame of this protocol have ports?
    pub(super) fn has_ports(self) -> bool {
        matches!(self.number, None | Some(6 | 17 | 132))
    }
}

impl FromStr for Protocol {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some((_, protocol)) = PROTOCOLS.iter().find(|(name, _)| *name == text) {
            return Ok(*protocol);
        }
        let number = text.parse().map_err(|_| ValueError::Protocol(text.to_owned()))?;
        Ok(Self { ip_version: None, number: Some(number) })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (PROTOCOLS.iter().find(|(_, protocol)| protocol == self), self.number) {
            (Some((name, _)), _) => f.write_str(name),
            (None, number) => write!(f, "proto {}", number.unwrap_or_default()),
        }
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (PROTOCOLS.iter().find(|(_, protocol)| protocol == self), self.number) {
            (Some((name, _)), _) => serializer.serialize_str(name),
            (None, number) => serializer.serialize_u8(number.unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer, "the name or number of a protocol")
    }
}

/// A net without bits beyond its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

impl Net {
    pub(super) fn host(address: IpAddr) -> Self {
        Self { address, prefix: most_bits(address) }
    }

    /// TEST-NET-2, for examples.
    pub(crate) const fn documentation() -> Self {
        Self { address: IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 0)), prefix: 24 }
    }

    pub(super) fn ip_version(self) -> u8 {
        if self.address.is_ipv4() { 4 } else { 6 }
    }

    pub(super) fn mask(self) -> [u8; 16] {
        // A shift by 128 has no value, and the mask of no bits is 0.
        let host_bits = u32::from(most_bits(self.address) - self.prefix);
        u128::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes()
    }

    /// The address as the kernel programs compare it.
    pub(super) fn bytes(self) -> [u8; 16] {
        bytes(self.address)
    }

    fn base(self) -> IpAddr {
        let masked = u128::from_be_bytes(bytes(self.address)) & u128::from_be_bytes(self.mask());
        match (self.address, masked.to_be_bytes()) {
            (IpAddr::V4(_), [.., a, b, c, d]) => IpAddr::from([a, b, c, d]),
            (IpAddr::V6(_), octets) => IpAddr::from(octets),
        }
    }
}

fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as the kernel programs compare it: IPv4 as IPv4-mapped IPv6 address.
fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl FromStr for Net {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let not_a_net = || ValueError::Net(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(not_a_net)?;
        let address: IpAddr = address.parse().map_err(|_| not_a_net())?;
        let prefix: u8 = prefix.parse().map_err(|_| not_a_net())?;
        let most = most_bits(address);
        if prefix > most {
            return Err(ValueError::PrefixTooLong { text: text.to_owned(), most });
        }
        let net = Self { address, prefix };
        if net.base() != address {
            let net = format!("{}/{prefix}", net.base());
            return Err(ValueError::HostBits { text: text.to_owned(), net });
        }
        Ok(net)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A range of ports; `low` is not above `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// First port.
    pub low: u16,
    /// Last port, the same as the first for a single one.
    pub high: u16,
}

impl Ports {
    pub(super) fn expression(self) -> String {
        let word = if self.low == self.high { "port" } else { "portrange" };
        format!("{word} {self}")
    }
}

impl FromStr for Ports {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let port = |part: &str| part.trim().parse().map_err(|_| ValueError::Port(text.to_owned()));
        let (low, high) = match text.split_once('-') {
            Some((low, high)) => (port(low)?, port(high)?),
            None => (port(text)?, port(text)?),
        };
        if low > high {
            return Err(ValueError::PortsReversed { low, high });
        }
        Ok(Self { low, high })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { low, high } if low == high => write!(f, "{low}"),
            Self { low, high } => write!(f, "{low}-{high}"),
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.low == self.high {
            serializer.serialize_u16(self.low)
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer, "a port, or a range such as \"8000-8080\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protocols_have_names_and_numbers() {
        assert_eq!("tcp".parse(), Ok(Protocol::TCP));
        assert_eq!("6".parse::<Protocol>().map(|p| p.to_string()), Ok("tcp".into()));
        assert_eq!("47".parse::<Protocol>().map(|p| p.to_string()), Ok("proto 47".into()));
        for text in ["256", "-1", "TCP", "", "gre"] {
            let error = text.parse::<Protocol>().unwrap_err();
            assert!(error.to_string().contains("tcp, udp, icmp, icmp6, sctp, ip, ip6"), "{error}");
        }
    }

    #[test]
    fn nets_have_no_host_bits() {
        let refused = |text: &str| text.parse::<Net>().unwrap_err();
        assert_eq!(
            refused("198.51.100.7/24"),
            ValueError::HostBits { text: "198.51.100.7/24".into(), net: "198.51.100.0/24".into() }
        );
        assert_eq!(
            refused("2001:db8::1/32"),
            ValueError::HostBits { text: "2001:db8::1/32".into(), net: "2001:db8::/32".into() }
        );
        assert!(matches!(refused("198.51.100.0/33"), ValueError::PrefixTooLong { most: 32, .. }));
        assert!(matches!(refused("2001:db8::/129"), ValueError::PrefixTooLong { most: 128, .. }));
        for text in ["198.51.100.0", "198.51.100.0/", "/24", "198.51.100/24", "x/24"] {
            assert_eq!(refused(text), ValueError::Net(text.into()));
        }
    }

    #[test]
    fn nets_have_masks() {
        let mask = |text: &str| text.parse::<Net>().unwrap().mask();
        assert_eq!(mask("0.0.0.0/0")[..12], [255; 12]);
        assert_eq!(mask("0.0.0.0/0")[12..], [0; 4]);
        assert_eq!(mask("198.51.100.0/23")[11..], [255, 255, 255, 254, 0]);
        assert_eq!(mask("::/0"), [0; 16]);
        assert_eq!(mask("2001:db8::/33")[..6], [255, 255, 255, 255, 128, 0]);
        assert_eq!(mask("2001:db8::1/128"), [255; 16]);
    }

    #[test]
    fn ports_are_single_or_a_range() {
        assert_eq!("80".parse(), Ok(Ports { low: 80, high: 80 }));
        assert_eq!("8000 - 8080".parse(), Ok(Ports { low: 8000, high: 8080 }));
        let reversed = ValueError::PortsReversed { low: 8080, high: 8000 };
        assert_eq!("8080-8000".parse::<Ports>(), Err(reversed));
        for text in ["", "-", "80-", "65536", "http"] {
            assert_eq!(text.parse::<Ports>(), Err(ValueError::Port(text.into())));
        }
    }

    proptest! {
        #[test]
        fn nets_read_back(bits: u128, prefix in 0u8..=128, v4: bool) {
            let address = if v4 { IpAddr::from((bits as u32).to_be_bytes()) } else { bits.to_be_bytes().into() };
            let net = Net { address, prefix: prefix.min(most_bits(address)) };
            let net = Net { address: net.base(), ..net };
            prop_assert_eq!(net.to_string().parse(), Ok(net));
        }

        #[test]
        fn any_text_is_a_condition_or_an_error(text: String) {
            let _ = (text.parse::<Net>(), text.parse::<Ports>(), text.parse::<Protocol>());
        }
    }
}
