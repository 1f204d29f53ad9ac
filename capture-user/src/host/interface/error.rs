//! Why an interface cannot be used.

use std::{cmp::Reverse, io};

/// Most names that a message lists.
const MOST_NAMES: usize = 8;
/// From this similarity (Jaro-Winkler, 0 to 1) on, a name may be a misspelling of another.
const SIMILAR: f64 = 0.8;

/// Why an interface cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// There is none of that name.
    #[error("no interface `{name}` in this network namespace; {}", hint(name, present))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that there are.
        present: Vec<String>,
    },
    /// Its frames have no Ethernet header.
    #[error(
        "`{name}` is not an Ethernet interface ({}link type {link_type}); captured reads Ethernet \
         frames only: capture on the interface below it, or on an Ethernet one that its traffic \
         crosses",
        kind.as_ref().map(|kind| format!("{kind}, ")).unwrap_or_default()
    )]
    NotEthernet {
        /// Name of the interface.
        name: String,
        /// `ARPHRD_…` number of `linux/if_arp.h`.
        link_type: u16,
        /// Kind of a virtual interface, as `ip -d link` shows it.
        kind: Option<String>,
    },
    /// The kernel did not answer, or answered with an error.
    #[error("asked the kernel {asked} by rtnetlink: {source}")]
    Netlink {
        /// What for.
        asked: &'static str,
        /// What came of it.
        source: io::Error,
    },
}

fn hint(name: &str, present: &[String]) -> String {
    let mut ranked: Vec<(u32, &str)> = present
        .iter()
        .map(|other| {
            // Millionths, so that they can be sorted.
            ((strsim::jaro_winkler(name, other) * 1e6) as u32, other.as_str())
        })
        .collect();
    ranked.sort_by_key(|(similarity, other)| (Reverse(*similarity), *other));
    let Some((similarity, closest)) = ranked.first() else {
        return "it has no interface at all".to_owned();
    };
    if f64::from(*similarity) >= SIMILAR * 1e6 {
        let others: Vec<&str> = ranked[1..].iter().map(|(_, other)| *other).collect();
        let also =
            if others.is_empty() { String::new() } else { format!(" (also: {})", list(&others)) };
        return format!("did you mean `{closest}`?{also}");
    }
    let all: Vec<&str> = ranked.iter().map(|(_, other)| *other).collect();
    format!("there are: {}", list(&all))
}

fn list(names: &[&str]) -> String {
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().checked_sub(MOST_NAMES) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(name: &str, present: &[&str]) -> String {
        InterfaceError::Unknown {
            name: name.to_owned(),
            present: present.iter().map(|name| (*name).to_owned()).collect(),
        }
        .to_string()
    }

    #[test]
    fn misspelling_is_pointed_out() {
        assert_eq!(
            unknown("eth01", &["lo", "eth0", "wlan0"]),
            "no interface `eth01` in this network namespace; did you mean `eth0`? (also: wlan0, lo)"
        );
    }

    #[test]
    fn otherwise_the_names_are_listed_but_not_hundreds() {
        assert_eq!(
            unknown("xyz", &["lo", "eth0"]),
            "no interface `xyz` in this network namespace; there are: eth0, lo"
        );
        assert!(unknown("xyz", &[]).ends_with("no interface at all"));
        let many: Vec<String> = (0..300).map(|number| format!("tap{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(unknown("q", &many).ends_with("and 292 more"));
    }
}
