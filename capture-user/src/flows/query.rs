//! What is asked of the flow table: which conversations, in which order, how many.

use std::net::IpAddr;

use capture_common::{class::Class, flow::FlowKey};
use clap::ValueEnum;

use super::record::{DirectionRecord, FlowRecord};

/// How many conversations an answer has, if the question does not say.
pub const DEFAULT_LIMIT: usize = 100;
/// The most that an answer over HTTP may have.
pub const MAX_LIMIT: usize = 100_000;

/// The order of an answer: what has most of it comes first, and among equals the last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum SortBy {
    /// Retransmissions, resets, closed windows and ICMP errors, all together.
    #[default]
    Trouble,
    /// Retransmissions of all kinds.
    Retransmissions,
    /// Bytes both ways.
    Bytes,
    /// Packets both ways.
    Packets,
    /// Last seen, the latest first.
    Last,
    /// First seen, the latest first.
    First,
    /// Round-trip time of the handshake, gateway to client and gateway to server together.
    Rtt,
}

impl SortBy {
    /// As in a question.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Retransmissions => "retransmissions",
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Last => "last",
            Self::First => "first",
            Self::Rtt => "rtt",
        }
    }

    /// How much a conversation has of it.
    #[must_use]
    pub fn measure(self, flow: &FlowRecord) -> u64 {
        let both = |of: fn(&DirectionRecord) -> u64| {
            of(&flow.from_client).saturating_add(of(&flow.from_server))
        };
        match self {
            Self::Trouble => {
                let errors = flow.icmp.map_or(0, |icmp| icmp.count.into());
                both(trouble).saturating_add(errors)
            }
            Self::Retransmissions => both(DirectionRecord::retransmissions),
            Self::Bytes => both(DirectionRecord::bytes),
            Self::Packets => both(DirectionRecord::packets),
            Self::Last => flow.last.try_into().unwrap_or(0),
            Self::First => flow.first.try_into().unwrap_or(0),
            Self::Rtt => {
                let times = [flow.client_rtt, flow.server_rtt].into_iter().flatten();
                times.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).sum()
            }
        }
    }
}

fn trouble(direction: &DirectionRecord) -> u64 {
    direction.retransmissions() + direction.count(Class::Reset) + direction.count(Class::ZeroWindow)
}

/// Which conversations: as in tcpdump's `host H and port P`, each condition is met by either end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Address of an end.
    pub host: Option<IpAddr>,
    /// Port of an end.
    pub port: Option<u16>,
}

impl FlowFilter {
    /// Is the conversation one of them?
    #[must_use]
    pub fn matches(&self, key: &FlowKey) -> bool {
        let host = self.host.is_none_or(|host| {
            let host = octets(host);
            key.low_address == host || key.high_address == host
        });
        host && self.port.is_none_or(|port| key.low_port == port || key.high_port == port)
    }
}

/// As the programs keep addresses: IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2).
fn octets(host: IpAddr) -> [u8; 16] {
    match host {
        IpAddr::V4(host) => host.to_ipv6_mapped(),
        IpAddr::V6(host) => host,
    }
    .octets()
}

/// A question to the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowQuery {
    /// Which conversations.
    pub filter: FlowFilter,
    /// In which order.
    pub sort: SortBy,
    /// How many at most; over HTTP 1 to [`MAX_LIMIT`].
    pub limit: usize,
}

impl Default for FlowQuery {
    fn default() -> Self {
        Self { filter: FlowFilter::default(), sort: SortBy::default(), limit: DEFAULT_LIMIT }
    }
}

/// A parameter of a question is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {problem}; allowed: {allowed}")]
pub struct QueryError {
    /// Which.
    pub parameter: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub allowed: String,
}

impl QueryError {
    pub(crate) fn new(name: &str, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        // A name may be as long as a request.
        let parameter = name.chars().take(40).collect();
        Self { parameter, problem: problem.into(), allowed: allowed.into() }
    }

    /// An address; an IPv4-mapped one (RFC 4291, section 2.5.5.2) as the IPv4 one.
    pub(crate) fn host(name: &str, value: &str) -> Result<IpAddr, Self> {
        let host: IpAddr = value.parse().map_err(|_| {
            let problem = format!("`{value}` is not an IP address");
            Self::new(name, problem, "an IP address, no name")
        })?;
        Ok(host.to_canonical())
    }

    /// A port, but 0.
    pub(crate) fn port(name: &str, value: &str) -> Result<u16, Self> {
        let port = number(name, value, usize::from(u16::MAX))?;
        Ok(port as u16)
    }
}

impl FlowQuery {
    /// From the parameters of a URL: `sort`, `limit`, `host`, `port`, each at most once.
    ///
    /// # Errors
    /// A parameter is unknown, there twice, or has a wrong value.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, QueryError> {
        let mut query = Self::default();
        each_once(pairs, |name, value| query.set(name, value))?;
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), QueryError> {
        match name {
            "sort" => {
                let names = SortBy::value_variants().iter().map(|sort| sort.name());
                self.sort = SortBy::from_str(value, false).map_err(|_| {
                    let names = names.collect::<Vec<_>>().join(", ");
                    QueryError::new(name, format!("`{value}` is no order"), names)
                })?;
            }
            "limit" => self.limit = number(name, value, MAX_LIMIT)?,
            "host" => self.filter.host = Some(QueryError::host(name, value)?),
            "port" => self.filter.port = Some(QueryError::port(name, value)?),
            _ => return Err(QueryError::new(name, "is unknown", "sort, limit, host, port")),
        }
        Ok(())
    }

    /// The path that asks a daemon this.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = format!("/v1/flows?sort={}&limit={}", self.sort.name(), self.limit);
        if let Some(host) = self.filter.host {
            path.push_str(&format!("&host={host}"));
        }
        if let Some(port) = self.filter.port {
            path.push_str(&format!("&port={port}"));
        }
        path
    }
}

/// Takes all parameters of a URL, of which none may be there twice.
pub(crate) fn each_once(
    pairs: impl IntoIterator<Item = (String, String)>,
    mut set: impl FnMut(&str, &str) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let mut seen = Vec::new();
    for (name, value) in pairs {
        set(&name, &value)?;
        if seen.contains(&name) {
            return Err(QueryError::new(&name, "is there twice", "one value"));
        }
        seen.push(name);
    }
    Ok(())
}

fn number(name: &str, value: &str, most: usize) -> Result<usize, QueryError> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| {
        QueryError::new(
            name,
            format!("`{value}` is not allowed"),
            format!("a number from 1 to {most}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FlowQuery, QueryError> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        FlowQuery::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn parameters_are_read_and_written() {
        assert_eq!(parse(""), Ok(FlowQuery::default()));
        let query = parse("port=80&host=::ffff:192.0.2.1&sort=rtt&limit=100000").unwrap();
        let filter = FlowFilter { host: Some([192, 0, 2, 1].into()), port: Some(80) };
        assert_eq!(query, FlowQuery { filter, sort: SortBy::Rtt, limit: 100_000 });
        let path = query.path();
        assert_eq!(path, "/v1/flows?sort=rtt&limit=100000&host=192.0.2.1&port=80");
        assert_eq!(parse(path.split_once('?').unwrap().1), Ok(query));
        for sort in SortBy::value_variants() {
            let query = FlowQuery { sort: *sort, ..FlowQuery::default() };
            assert_eq!(parse(query.path().split_once('?').unwrap().1), Ok(query));
        }
    }

    #[test]
    fn mistakes_say_what_and_what_else() {
        for (text, parameter, word, allowed) in [
            ("sort=size", "sort", "`size`", "trouble, retransmissions, bytes"),
            ("limit=0", "limit", "`0`", "1 to 100000"),
            ("limit=100001", "limit", "`100001`", "1 to 100000"),
            ("limit=", "limit", "``", "1 to 100000"),
            ("host=web", "host", "`web` is not an IP address", "no name"),
            ("port=65536", "port", "`65536`", "1 to 65535"),
            ("port=-1", "port", "`-1`", "1 to 65535"),
            ("port=1&port=2", "port", "twice", "one"),
            ("lmit=1", "lmit", "unknown", "sort, limit, host, port"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.parameter, parameter, "{text}");
            assert!(error.problem.contains(word), "{text}: {error}");
            assert!(error.allowed.contains(allowed), "{text}: {error}");
        }
    }

    #[test]
    fn either_end_may_match() {
        let key = FlowKey {
            low_address: octets([192, 0, 2, 1].into()),
            high_address: octets("2001:db8::1".parse().unwrap()),
            low_port: 80,
            high_port: 4000,
            tunnel: 0,
        };
        let matches = |host: Option<&str>, port| {
            FlowFilter { host: host.map(|host| host.parse().unwrap()), port }.matches(&key)
        };
        for host in [None, Some("192.0.2.1"), Some("2001:db8::1")] {
            assert!(matches(host, None) && matches(host, Some(80)) && matches(host, Some(4000)));
            assert!(!matches(host, Some(81)));
        }
        assert!(!matches(Some("192.0.2.2"), None) && !matches(Some("192.0.2.2"), Some(80)));
    }
}
