//! The filter of an interface: rules of protocol, host or net, and port.

mod conditions;

use std::{fmt, net::IpAddr};

use capture_common::abi::{FilterRule, FilterRules, rule_flags};
use serde::{Deserialize, Deserializer, de};

pub use conditions::{Net, Ports, Protocol};

use super::{document::section, error::ValueError};

section! {
    /// One rule of a filter: all its conditions must hold.
    #[derive(Default)]
    pub struct Rule {
        /// tcp, udp, icmp, icmp6, sctp, ip, ip6, or a protocol number, 0 to 255.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub protocol: Option<Protocol>,
        /// An address, as source or destination; not together with net.
        #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "host")]
        pub host: Option<IpAddr>,
        /// A net, ADDRESS/BITS, of the source or the destination; not together with host.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub net: Option<Net>,
        /// Port of the source or the destination: a number, or a range such as "8000-8080".
        #[serde(skip_serializing_if = "Option::is_none")]
        pub port: Option<Ports>,
    }
}

impl Rule {
    /// The conditions of the rule that exclude each other, or lack what they need: the key of one
    /// of them (or none) and what is wrong.
    pub(super) fn check(&self) -> Result<(), (Option<&'static str>, String)> {
        if *self == Self::default() {
            return Err((
                None,
                "the rule has no condition: give protocol, host, net or port, or leave the filter \
                 out to capture everything"
                    .into(),
            ));
        }
        if self.host.is_some() && self.net.is_some() {
            return Err((
                Some("net"),
                "host and net cannot both be in one rule: leave one out, or make two rules".into(),
            ));
        }
        let Some(protocol) = self.protocol else { return Ok(()) };
        if self.port.is_some() && !protocol.has_ports() {
            return Err((
                Some("port"),
                format!("{protocol} has no ports: use tcp, udp or sctp, or leave the port out"),
            ));
        }
        match (self.condition_net(), protocol.ip_version()) {
            (Some(net), Some(version)) if net.ip_version() != version => Err((
                Some(if self.host.is_some() { "host" } else { "net" }),
                format!("{protocol} never has this address: it is of IPv{version} only"),
            )),
            _ => Ok(()),
        }
    }

    /// Host or net as a net.
    fn condition_net(&self) -> Option<Net> {
        self.net.or(self.host.map(Net::host))
    }

    fn compile(&self) -> FilterRule {
        let mut rule = FilterRule::default();
        if let Some(protocol) = self.protocol {
            if let Some(version) = protocol.ip_version() {
                rule.flags |= rule_flags::IP_VERSION;
                rule.ip_version = version;
            }
            if let Some(number) = protocol.number() {
                rule.flags |= rule_flags::PROTOCOL;
                rule.protocol = number;
            }
        }
        if let Some(net) = self.condition_net() {
            // An IPv4 net compared with the first bytes of IPv6 addresses would match by chance.
            rule.flags |= rule_flags::NET | rule_flags::IP_VERSION;
            rule.ip_version = net.ip_version();
            rule.net = net.bytes();
            rule.mask = net.mask();
        }
        if let Some(Ports { low, high }) = self.port {
            rule.flags |= rule_flags::PORT;
            (rule.port_low, rule.port_high) = (low, high);
        }
        rule
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = [
            self.protocol.map(|protocol| protocol.to_string()),
            self.host.map(|host| format!("host {host}")),
            self.net.map(|net| format!("net {net}")),
            self.port.map(|ports| ports.expression()),
        ];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        f.write_str(&conditions.join(" and "))
    }
}

/// The rules for the kernel programs. No rules means that everything is captured: that is one
/// rule without conditions. Rules past [`MAX_FILTER_RULES`](capture_common::abi::MAX_FILTER_RULES)
/// are left out; a configuration that was loaded has none.
#[must_use]
pub fn compile(rules: &[Rule]) -> FilterRules {
    let mut compiled = FilterRules::default();
    for (to, rule) in compiled.rules.iter_mut().zip(rules) {
        *to = rule.compile();
        compiled.count += 1;
    }
    compiled.count = compiled.count.max(1);
    compiled
}

/// The filter as a pcap-filter expression; empty for no rules.
#[must_use]
pub fn text(rules: &[Rule]) -> String {
    match rules {
        [] => String::new(),
        [rule] => rule.to_string(),
        rules => {
            let rules: Vec<String> = rules.iter().map(|rule| format!("({rule})")).collect();
            rules.join(" or ")
        }
    }
}

fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|_| de::Error::custom(ValueError::Host(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> Vec<Rule> {
        #[derive(Deserialize)]
        struct File {
            filter: Vec<Rule>,
        }
        toml::from_str::<File>(toml).unwrap().filter
    }

    #[test]
    fn the_text_is_a_pcap_filter() {
        let all = rules(
            r#"filter = [
                { protocol = "tcp", host = "203.0.113.4", port = 80 },
                { protocol = "icmp" },
                { net = "2001:db8::/32", port = "8000-8080" },
                { protocol = 47 },
            ]"#,
        );
        assert_eq!(
            text(&all),
            "(tcp and host 203.0.113.4 and port 80) or (icmp) or (net 2001:db8::/32 and portrange \
             8000-8080) or (proto 47)"
        );
        assert_eq!(text(&all[1..2]), "icmp");
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn rules_are_compiled() {
        let all = rules(
            r#"filter = [
                { protocol = "tcp", host = "203.0.113.4", port = "80-81" },
                { protocol = "icmp6" },
                { net = "198.51.100.0/24" },
                { protocol = "ip6" },
            ]"#,
        );
        let compiled = compile(&all);
        assert_eq!(compiled.count, 4);
        let address = std::net::Ipv4Addr::new(203, 0, 113, 4).to_ipv6_mapped().octets();
        let mask = [255; 16];
        use rule_flags::{IP_VERSION, NET, PORT, PROTOCOL};
        let expected = FilterRule {
            flags: IP_VERSION | PROTOCOL | NET | PORT,
            ip_version: 4,
            protocol: 6,
            port_low: 80,
            port_high: 81,
            net: address,
            mask,
            ..FilterRule::default()
        };
        assert_eq!(compiled.rules[0], expected);
        assert_eq!(
            compiled.rules[1],
            FilterRule {
                flags: IP_VERSION | PROTOCOL,
                ip_version: 6,
                protocol: 58,
                ..Default::default()
            }
        );
        assert_eq!((compiled.rules[2].flags, compiled.rules[2].mask[15]), (IP_VERSION | NET, 0));
        assert_eq!((compiled.rules[3].flags, compiled.rules[3].ip_version), (IP_VERSION, 6));
        assert_eq!(compiled.rules[4], FilterRule::default());
    }

    #[test]
    fn no_filter_is_one_rule_that_matches_all() {
        let compiled = compile(&[]);
        assert_eq!((compiled.count, compiled.rules[0].flags), (1, 0));
    }

    #[test]
    fn contradictions_are_named() {
        for (rule, key, word) in [
            ("{}", None, "no condition"),
            (r#"{ host = "203.0.113.4", net = "203.0.113.0/24" }"#, Some("net"), "both"),
            (r#"{ protocol = "icmp", port = 80 }"#, Some("port"), "no ports"),
            (r#"{ protocol = "icmp6", host = "203.0.113.4" }"#, Some("host"), "IPv6 only"),
            (r#"{ protocol = "ip", net = "2001:db8::/32" }"#, Some("net"), "IPv4 only"),
        ] {
            let rules = rules(&format!("filter = [{rule}]"));
            let (found, message) = rules[0].check().unwrap_err();
            assert_eq!(found, key, "{rule}");
            assert!(message.contains(word), "{message}");
        }
        for rule in [
            r#"{ protocol = "ip6", port = 53 }"#,
            r#"{ port = 53 }"#,
            "{ protocol = 17, port = 1 }",
        ] {
            assert_eq!(rules(&format!("filter = [{rule}]"))[0].check(), Ok(()), "{rule}");
        }
    }
}
