//! Why the parser stopped before the end of what it knows.

/// Why a frame was not parsed to its transport header, in a tunnel to the innermost one. The
/// discriminants index the counters and are ABI; the labels are the values of the Prometheus label
/// `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Shorter than an Ethernet header.
    TruncatedEthernet = 0,
    /// Ends within a VLAN tag.
    TruncatedVlan = 1,
    /// More VLAN tags than the parser follows.
    TooManyVlans = 2,
    /// Ends within an MPLS label stack entry.
    TruncatedMpls = 3,
    /// More MPLS labels than the parser follows.
    TooManyMplsLabels = 4,
    /// MPLS payload that is neither IPv4 nor IPv6.
    MplsNotIp = 5,
    /// Ends within a PPPoE or PPP header.
    TruncatedPppoe = 6,
    /// PPPoE payload that is neither IPv4 nor IPv6 (control protocols, discovery).
    PppoeNotIp = 7,
    /// An EtherType the parser does not follow (ARP, LLDP, …).
    NotIp = 8,
    /// Ends within the IPv4 header or its options.
    TruncatedIpv4 = 9,
    /// IPv4 EtherType, but another version in the header, or a header length under 20 bytes.
    BadIpv4Header = 10,
    /// IPv4 total length smaller than the header.
    BadIpv4Length = 11,
    /// Ends within the IPv6 header.
    TruncatedIpv6 = 12,
    /// IPv6 EtherType, but another version in the header.
    BadIpv6Header = 13,
    /// Ends within an IPv6 extension header.
    TruncatedIpv6Extension = 14,
    /// More IPv6 extension headers than the parser follows.
    TooManyIpv6Extensions = 15,
    /// A fragment that is not the first: no transport header in it.
    Fragment = 16,
    /// A transport protocol the parser does not follow.
    OtherProtocol = 17,
    /// IPv6 "no next header", or an encrypted payload (ESP).
    NoTransport = 18,
    /// Ends within the TCP header or its options.
    TruncatedTcp = 19,
    /// TCP data offset under 20 bytes, or past the end of the IP payload.
    BadTcpHeader = 20,
    /// Ends within the UDP header, or its length field lies.
    TruncatedUdp = 21,
    /// Ends within the SCTP common header.
    TruncatedSctp = 22,
    /// Ends within the ICMP or ICMPv6 header.
    TruncatedIcmp = 23,
    /// An ICMP error whose quoted packet is cut before its ports.
    TruncatedQuote = 24,
    /// An ICMP error that quotes something that is not a valid IP header.
    BadQuote = 25,
    /// Ends within a GRE header.
    TruncatedGre = 26,
    /// A GRE version other than 0 (PPTP has 1), or the source routing of RFC 1701.
    BadGreHeader = 27,
    /// Ends within an ERSPAN header.
    TruncatedErspan = 28,
    /// Ends within a VXLAN header.
    TruncatedVxlan = 29,
    /// UDP to the port of VXLAN, but not marked as having a network identifier.
    BadVxlanHeader = 30,
    /// Ends within a GENEVE header or its options.
    TruncatedGeneve = 31,
    /// UDP to the port of GENEVE, but of another version.
    BadGeneveHeader = 32,
    /// GRE or GENEVE with neither IP nor Ethernet in it, or with a control message, or ERSPAN that
    /// mirrors something else than Ethernet.
    TunnelNotIp = 33,
    /// The first fragment of a tunnel's packet, or any of an 802.11 frame in a tunnel: what it
    /// carries is not whole.
    FragmentedTunnel = 34,
    /// More tunnels in one another than the parser follows.
    TooManyTunnels = 35,
    /// ERSPAN of another version than those of types II and III.
    BadErspanHeader = 36,
    /// Ends within an 802.11 header, or within LLC and SNAP behind it.
    TruncatedWlan = 37,
    /// An 802.11 frame in a tunnel that is management, control or without data, is encrypted or
    /// aggregated, or has no SNAP with an EtherType.
    WlanNotIp = 38,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 39;
    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::TruncatedEthernet,
        Self::TruncatedVlan,
        Self::TooManyVlans,
        Self::TruncatedMpls,
        Self::TooManyMplsLabels,
        Self::MplsNotIp,
        Self::TruncatedPppoe,
        Self::PppoeNotIp,
        Self::NotIp,
        Self::TruncatedIpv4,
        Self::BadIpv4Header,
        Self::BadIpv4Length,
        Self::TruncatedIpv6,
        Self::BadIpv6Header,
        Self::TruncatedIpv6Extension,
        Self::TooManyIpv6Extensions,
        Self::Fragment,
        Self::OtherProtocol,
        Self::NoTransport,
        Self::TruncatedTcp,
        Self::BadTcpHeader,
        Self::TruncatedUdp,
        Self::TruncatedSctp,
        Self::TruncatedIcmp,
        Self::TruncatedQuote,
        Self::BadQuote,
        Self::TruncatedGre,
        Self::BadGreHeader,
        Self::TruncatedErspan,
        Self::TruncatedVxlan,
        Self::BadVxlanHeader,
        Self::TruncatedGeneve,
        Self::BadGeneveHeader,
        Self::TunnelNotIp,
        Self::FragmentedTunnel,
        Self::TooManyTunnels,
        Self::BadErspanHeader,
        Self::TruncatedWlan,
        Self::WlanNotIp,
    ];

    /// The value of the Prometheus label `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TruncatedEthernet => "truncated_ethernet",
            Self::TruncatedVlan => "truncated_vlan",
            Self::TooManyVlans => "too_many_vlans",
            Self::TruncatedMpls => "truncated_mpls",
            Self::TooManyMplsLabels => "too_many_mpls_labels",
            Self::MplsNotIp => "mpls_not_ip",
            Self::TruncatedPppoe => "truncated_pppoe",
            Self::PppoeNotIp => "pppoe_not_ip",
            Self::NotIp => "not_ip",
            Self::TruncatedIpv4 => "truncated_ipv4",
            Self::BadIpv4Header => "bad_ipv4_header",
            Self::BadIpv4Length => "bad_ipv4_length",
            Self::TruncatedIpv6 => "truncated_ipv6",
            Self::BadIpv6Header => "bad_ipv6_header",
            Self::TruncatedIpv6Extension => "truncated_ipv6_extension",
            Self::TooManyIpv6Extensions => "too_many_ipv6_extensions",
            Self::Fragment => "fragment",
            Self::OtherProtocol => "other_protocol",
            Self::NoTransport => "no_transport",
            Self::TruncatedTcp => "truncated_tcp",
            Self::BadTcpHeader => "bad_tcp_header",
            Self::TruncatedUdp => "truncated_udp",
            Self::TruncatedSctp => "truncated_sctp",
            Self::TruncatedIcmp => "truncated_icmp",
            Self::TruncatedQuote => "truncated_quote",
            Self::BadQuote => "bad_quote",
            Self::TruncatedGre => "truncated_gre",
            Self::BadGreHeader => "bad_gre_header",
            Self::TruncatedErspan => "truncated_erspan",
            Self::TruncatedVxlan => "truncated_vxlan",
            Self::BadVxlanHeader => "bad_vxlan_header",
            Self::TruncatedGeneve => "truncated_geneve",
            Self::BadGeneveHeader => "bad_geneve_header",
            Self::TunnelNotIp => "tunnel_not_ip",
            Self::FragmentedTunnel => "fragmented_tunnel",
            Self::TooManyTunnels => "too_many_tunnels",
            Self::BadErspanHeader => "bad_erspan_header",
            Self::TruncatedWlan => "truncated_wlan",
            Self::WlanNotIp => "wlan_not_ip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_order_and_labels_differ() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            assert_eq!(
                Reason::ALL.iter().filter(|other| other.label() == reason.label()).count(),
                1
            );
        }
    }
}
