//! What is asked, and what must be known of this host to answer it.

use std::net::IpAddr;

use crate::flows::FlowRecord;

/// What [`diagnose`](super::diagnose) is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Only conversations one of whose ends has this address.
    pub host: Option<IpAddr>,
    /// Only conversations with a service on this port; together with `host`: in which that host has
    /// this port, be it as server or as client.
    pub port: Option<u16>,
    /// Nothing from before this time, nanoseconds since 1970.
    pub since: Option<i64>,
    /// The time at which the flows were read, nanoseconds since 1970.
    pub now: i64,
    /// This gateway's own addresses.
    pub own_addresses: Vec<IpAddr>,
    /// SYNs that left without their conversation being known: translated (NAT), or forgotten since
    /// the table is too small. Where there are any, "did not leave" is less certain.
    pub syns_left_unknown: u64,
}

impl Question {
    /// Is the conversation one of those that are asked about?
    #[must_use]
    pub fn takes(&self, flow: &FlowRecord) -> bool {
        let is_asked = match (self.host, self.port) {
            (None, None) => true,
            (None, Some(port)) => flow.server.port() == port,
            (Some(host), None) => flow.server.ip() == host || flow.client.ip() == host,
            (Some(host), Some(port)) => {
                [flow.server, flow.client].iter().any(|end| (end.ip(), end.port()) == (host, port))
            }
        };
        is_asked && self.is_recent(flow.last)
    }

    /// Is this time, in nanoseconds since 1970, not before `since`?
    #[must_use]
    pub fn is_recent(&self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since)
    }

    /// Does the conversation have trouble that is not older than `since`?
    #[must_use]
    pub(super) fn is_trouble_recent(&self, flow: &FlowRecord) -> bool {
        flow.trouble.is_some_and(|(_, last)| self.is_recent(last))
    }
}
