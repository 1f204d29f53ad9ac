//! What a question is about: a host, or one of its ports.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// A host, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its address; an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) as the IPv4 one.
    pub host: IpAddr,
    /// The port, if one was given; never 0.
    pub port: Option<u16>,
}

/// What is not a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The part in front of the port is not an address.
    #[error(
        "`{0}` is not an IP address; expected is an address with or without a port, such as \
         192.0.2.1, 192.0.2.1:80, 2001:db8::1 or [2001:db8::1]:80"
    )]
    Host(String),
    /// The part behind the last colon is not a port.
    #[error("`{0}` is not a port: expected is a number from 1 to 65535")]
    Port(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Ok(host) = text.parse() {
            return Ok(Self::new(host, None));
        }
        let wrong_host = |host: &str| TargetError::Host(host.to_owned());
        if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(|| wrong_host(text))?;
            let host: Ipv6Addr = host.parse().map_err(|_| wrong_host(host))?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if rest.is_empty() => None,
                None => return Err(wrong_host(text)),
            };
            return Ok(Self::new(host.into(), port));
        }
        // What has more than one colon was meant as an IPv6 address, and is none.
        match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                let host = host.parse().map_err(|_| wrong_host(host))?;
                Ok(Self::new(host, Some(parse_port(port)?)))
            }
            _ => Err(wrong_host(text)),
        }
    }
}

impl Target {
    fn new(host: IpAddr, port: Option<u16>) -> Self {
        Self { host: host.to_canonical(), port }
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    // `u16::from_str` takes a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port != 0);
    port.ok_or_else(|| TargetError::Port(text.to_owned()))
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.host, port).fmt(out),
            None => self.host.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_a_port_or_none() {
        for (text, host, port) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:80", "192.0.2.1", Some(80)),
            ("2001:db8::1", "2001:db8::1", None),
            ("2001:db8::80", "2001:db8::80", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[::1]:65535", "::1", Some(65535)),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
        ] {
            let host = host.parse().unwrap();
            assert_eq!(text.parse(), Ok(Target { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<Target>().unwrap_err();
        for text in ["192.0.2.1:0", "192.0.2.1:", "[::1]:65536", "192.0.2.1:+80", "192.0.2.1:http"]
        {
            assert!(matches!(error(text), TargetError::Port(_)), "{text}");
        }
        for text in ["", ":80", "web:80", "web", "[::1", "[::1]80", "[192.0.2.1]:80", "1:2:3"] {
            assert!(matches!(error(text), TargetError::Host(_)), "{text}");
        }
        assert!(error("web:80").to_string().contains("`web` is not an IP address"));
    }
}
