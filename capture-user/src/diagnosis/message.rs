//! What ICMP and ICMPv6 errors mean to those who wait for an answer.

/// An ICMP or ICMPv6 error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Message {
    /// 4 for ICMP, 6 for ICMPv6.
    pub ip_version: u8,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
}

/// What a message says of the packet that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It was refused.
    Refused,
    /// There is no way to its destination, for now: RFC 1122, section 4.2.3.9, has TCP go on
    /// trying.
    NoWay,
    /// Its time to live ran out on the way.
    TimeExceeded,
    /// It was too large.
    TooBig,
    /// Nothing that keeps a conversation from going on: redirects, source quench, reassembly
    /// timeouts.
    Other,
}

impl Message {
    /// RFC 792, 1122, 1812 (section 5.2.7.1) and 4443.
    pub const fn meaning(self) -> Meaning {
        match (self.ip_version, self.kind, self.code) {
            (4, 3, 4) | (6, 2, _) => Meaning::TooBig,
            (4, 3, 0 | 1 | 5..=8 | 11 | 12) | (6, 1, 0 | 2 | 3) => Meaning::NoWay,
            (4, 3, _) | (6, 1, _) | (4, 12, _) | (6, 4, _) => Meaning::Refused,
            (4, 11, 0) | (6, 3, 0) => Meaning::TimeExceeded,
            _ => Meaning::Other,
        }
    }

    /// As it is called in the RFCs, and by tcpdump where that is shorter.
    const fn name(self) -> &'static str {
        match (self.ip_version, self.kind, self.code) {
            (4, 3, 0) => "network unreachable",
            (4, 3, 1) => "host unreachable",
            (4, 3, 2) => "protocol unreachable",
            (4, 3, 3) | (6, 1, 4) => "port unreachable",
            (4, 3, 4) => "fragmentation needed",
            (4, 3, 5) => "source route failed",
            (4, 3, 6) => "network unknown",
            (4, 3, 7) => "host unknown",
            (4, 3, 9) => "network administratively prohibited",
            (4, 3, 10) => "host administratively prohibited",
            (4, 3, 11) => "network unreachable for the type of service",
            (4, 3, 12) => "host unreachable for the type of service",
            (4, 3, 13) | (6, 1, 1) => "administratively prohibited",
            (4, 11, 0) => "time to live exceeded",
            (4, 12, _) | (6, 4, _) => "parameter problem",
            (6, 1, 0) => "no route to destination",
            (6, 1, 2) => "beyond scope of source address",
            (6, 1, 3) => "address unreachable",
            (6, 1, 5) => "source address failed the policy",
            (6, 1, 6) => "reject route",
            (6, 2, _) => "packet too big",
            (6, 3, 0) => "hop limit exceeded",
            _ => "error",
        }
    }

    /// Is it about a port, so that a missing process can be meant as well as a firewall?
    pub const fn is_port_unreachable(self) -> bool {
        matches!((self.ip_version, self.kind, self.code), (4, 3, 3) | (6, 1, 4))
    }

    /// Is it what a router says when the destination does not answer ARP or neighbour discovery?
    pub const fn is_host_unreachable(self) -> bool {
        matches!((self.ip_version, self.kind, self.code), (4, 3, 1) | (6, 1, 3))
    }

    /// As a display filter of Wireshark has it.
    pub const fn protocol(self) -> &'static str {
        if self.ip_version == 6 { "icmpv6" } else { "icmp" }
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = if self.ip_version == 6 { "ICMPv6" } else { "ICMP" };
        write!(f, "{protocol} {} ({}/{})", self.name(), self.kind, self.code)
    }
}
