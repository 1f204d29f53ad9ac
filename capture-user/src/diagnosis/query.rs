//! A question as it comes over HTTP.

use std::{net::IpAddr, time::Duration};

use crate::flows::{QueryError, each_once};

/// What `/v1/diagnosis` and `captured diagnose` are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiagnosisQuery {
    /// Only services of, or clients with, this address.
    pub host: Option<IpAddr>,
    /// Only this port.
    pub port: Option<u16>,
    /// Only what happened in this time before now.
    pub last: Option<Duration>,
}

impl DiagnosisQuery {
    /// From the parameters of a URL: `host`, `port`, `last`, each at most once.
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
            "host" => self.host = Some(QueryError::host(name, value)?),
            "port" => self.port = Some(QueryError::port(name, value)?),
            "last" => {
                let last = humantime::parse_duration(value).map_err(|error| {
                    let problem = format!("`{value}` is no time: {error}");
                    QueryError::new(name, problem, "a number with a unit, such as 90s, 10m or 2h")
                })?;
                self.last = Some(last);
            }
            _ => return Err(QueryError::new(name, "is unknown", "host, port, last")),
        }
        Ok(())
    }

    /// The path that asks a daemon this.
    #[must_use]
    pub fn path(&self) -> String {
        let host = self.host.map(|host| format!("host={host}"));
        let port = self.port.map(|port| format!("port={port}"));
        // Without the spaces of "1h 30m".
        let last = self.last.map(|last| format!("last={}ms", last.as_millis()));
        let parameters: Vec<_> = [host, port, last].into_iter().flatten().collect();
        match parameters.is_empty() {
            true => "/v1/diagnosis".to_owned(),
            false => format!("/v1/diagnosis?{}", parameters.join("&")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DiagnosisQuery, QueryError> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        DiagnosisQuery::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn parameters_are_read_and_written() {
        let query = parse("host=2001:db8::1&port=80&last=10m").unwrap();
        assert_eq!(query.host, Some("2001:db8::1".parse().unwrap()));
        assert_eq!((query.port, query.last), (Some(80), Some(Duration::from_secs(600))));
        let path = query.path();
        assert_eq!(parse(path.split_once('?').unwrap().1), Ok(query));
        assert_eq!(DiagnosisQuery::default().path(), "/v1/diagnosis");
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (text, parameter, word) in [
            ("host=example", "host", "not an IP address"),
            ("port=0", "port", "1 to 65535"),
            ("last=soon", "last", "10m"),
            ("last=1m&last=2m", "last", "twice"),
            ("since=1m", "since", "host, port, last"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.parameter, parameter, "{text}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
