//! No name reaches the resolver.

use proptest::prelude::*;

use super::{compiled, error};
use crate::filter::Expression;

#[test]
fn names_are_refused_wherever_they_are_looked_up() {
    let host = "is a host name: captured makes no DNS look-ups, give its address";
    let net = "is the name of a net: captured looks none up, give its address and length";
    let ether =
        "is a host name: captured looks up no Ethernet addresses, give it as 00:11:22:33:44:55";
    let gateway = "is a host name, which captured does not look up: instead of `gateway`, write \
                   `ether host MAC and not host ADDRESS`";
    for (before, message) in [
        ("host ", host),
        ("src ", host),
        ("dst host ", host),
        ("src or dst ", host),
        ("src and dst host ", host),
        ("ip host ", host),
        ("ip6 src host ", host),
        ("arp host ", host),
        ("tcp src ", host),
        ("decnet host ", host),
        ("host 192.0.2.1 or ", host),
        ("host 192.0.2.1 or not ", host),
        ("host (192.0.2.1 or ", host),
        ("host (192.0.2.1 or (not ", host),
        ("host not ", host),
        ("host (not 192.0.2.1) and ", host),
        ("port 80 or host 192.0.2.1 and (", host),
        ("host 192.0.2.1 && (port 80 or 443) && ", host),
        ("net ", net),
        ("src net ", net),
        ("ip net ", net),
        ("src or dst net ", net),
        ("net 10.0.0.0/8 or ", net),
        ("net 10.0.0.0 mask 255.0.0.0 or ", net),
        ("ether host ", ether),
        ("ether src ", ether),
        ("wlan src or dst host ", ether),
        ("ether host 00:11:22:33:44:55 or ", ether),
        ("gateway ", gateway),
        ("ip gateway ", gateway),
    ] {
        for name in ["example.com", "localhost", "\\tcp", "x-y", "12ab"] {
            let text = format!("{before}{name} and tcp");
            let error = error(&text);
            assert_eq!(error.message, format!("`{name}` {message}"), "{text}");
            assert_eq!((error.position, error.length), (before.len(), name.len()), "{text}");
        }
    }
    assert_eq!(
        error("tcp and host example.com").to_string(),
        "`example.com` is a host name: captured makes no DNS look-ups, give its address (character \
         14) in `tcp and host example.com`"
    );
}

#[test]
fn what_is_meant_as_an_address_is_told() {
    for (text, name) in [("host 10.0.0.0.1", "10.0.0.0.1"), ("src fe80:1", "fe80")] {
        assert_eq!(
            error(text).message,
            format!("`{name}` is no address, and captured makes no DNS look-ups")
        );
    }
}

#[test]
fn names_of_ports_and_protocols_stay() {
    for text in [
        "port http",
        "tcp port ssh or http",
        "host 192.0.2.1 and port domain or http",
        "ip proto gre",
        "proto ospf or \\tcp",
        "ether proto loopback",
        "portrange ssh-http",
        "llc ui",
        "icmp[icmptype] = icmp-echo or port http",
        "host 192.0.2.1 and icmp[icmptype] = icmp-echo",
    ] {
        compiled(text);
    }
    // These are libpcap's errors: the name is looked up in a file, or not at all.
    for (text, message) in [
        ("port nosuchport", "unknown port 'nosuchport'"),
        ("host 192.0.2.1 and port 80 or nosuchport", "unknown port 'nosuchport'"),
        ("host 192.0.2.1 and tcp or example.com", "syntax error"),
        ("host 192.0.2.1 and (tcp) or example.com and 5", "libpcap"),
    ] {
        let error = error(text);
        assert!(error.message == message || message == "libpcap", "{text}: {error}");
    }
}

/// Words that make all kinds of expressions and of nonsense.
const WORDS: [&str; 44] = [
    "host",
    "net",
    "src",
    "dst",
    "port",
    "portrange",
    "proto",
    "gateway",
    "ether",
    "ip",
    "ip6",
    "arp",
    "tcp",
    "decnet",
    "and",
    "or",
    "not",
    "(",
    ")",
    "and",
    "or",
    "(",
    ")",
    "192.0.2.1",
    "10.1",
    "80",
    "2001:db8::1",
    "00:11:22:33:44:55",
    "192.0.2.0/24",
    "name.invalid",
    "name.invalid",
    "name.invalid",
    "\\name.invalid",
    "vlan",
    "llc",
    "ip[0] = 1",
    "=",
    "[",
    "]",
    "mask",
    "len",
    "5 > 3",
    "broadcast",
    "protochain",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// libpcap says that a name is unknown when the resolver does not know it.
    #[test]
    fn libpcap_never_asks_for_a_name(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..12)
    ) {
        if let Err(error) = words.join(" ").parse::<Expression>() {
            for asked in ["unknown host", "unknown network", "unknown ether host", "decnet name"] {
                prop_assert!(!error.message.contains(asked), "{}", error);
            }
        }
    }
}
