//! What is played, and what must come of it.

use std::{fmt, ops::RangeInclusive, time::Duration};

use anyhow::{Result, bail};
use serde::Serialize;

use super::{stage::Stage, trouble::Trouble};
use crate::lab::{
    http::{PAGE, Patience, Transfer},
    routed::SERVER_V4,
};

/// One scene.
pub struct Scene {
    /// Its number in the documentation.
    pub number: u8,
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, and why it is worth seeing.
    pub description: &'static str,
    /// The server's port in this scene and no other, so that its frames can be told apart.
    pub port: u16,
    /// Does a web server listen on the port?
    pub listening: bool,
    /// Firewall rules, in force during the scene.
    pub rules: &'static [Rule],
    /// What the client does.
    pub action: fn(&Stage<'_>) -> Result<Transfer>,
    /// What must come of it.
    pub expectation: Expectation,
}

/// nftables rules of one namespace.
pub struct Rule {
    /// Whose: `client`, `isp`, `gateway` or `server`.
    pub role: &'static str,
    /// Content of a table of family `inet`; `$port` is the scene's port.
    pub table: &'static str,
}

/// What must come of a scene.
pub struct Expectation {
    /// How it ends for the client.
    pub outcome: Outcome,
    /// SYNs sent again.
    pub syn_retransmissions: RangeInclusive<u64>,
    /// Resets.
    pub resets: RangeInclusive<u64>,
    /// ICMP messages "port unreachable".
    pub port_unreachables: RangeInclusive<u64>,
}

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server answered with 200.
    Answered,
    /// Nothing came.
    TimedOut,
    /// The connection was refused.
    Refused,
    /// Anything else.
    Other,
}

impl Outcome {
    /// What curl's result means.
    #[must_use]
    pub fn of(transfer: &Transfer) -> Self {
        match (transfer.exit_code, transfer.status) {
            (0, 200) => Self::Answered,
            (28, _) => Self::TimedOut,
            (7, _) => Self::Refused,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "200 OK",
            Self::TimedOut => "timed out",
            Self::Refused => "refused",
            Self::Other => "failed",
        })
    }
}

impl Expectation {
    /// What was expected and did not happen, in words; empty when all did.
    #[must_use]
    pub fn disappointments(&self, outcome: Outcome, trouble: &Trouble) -> Vec<String> {
        let mut found = Vec::new();
        if outcome != self.outcome {
            found.push(format!("the client's request: {outcome}, expected: {}", self.outcome));
        }
        let counts = [
            ("SYN retransmissions", trouble.syn_retransmissions, &self.syn_retransmissions),
            ("resets", trouble.resets, &self.resets),
            ("ICMP port unreachable", trouble.port_unreachables(), &self.port_unreachables),
        ];
        for (what, count, range) in counts {
            if !range.contains(&count) {
                let expected = match (range.start(), range.end()) {
                    (least, most) if least == most => least.to_string(),
                    (least, most) => format!("{least} to {most}"),
                };
                found.push(format!("{what}: {count}, expected {expected}"));
            }
        }
        found
    }
}

/// All scenes, in the order in which they are played.
pub static SCENES: [Scene; 3] = [
    Scene {
        number: 1,
        name: "working",
        description: "The client fetches a page, and all is well.",
        port: 8001,
        listening: true,
        rules: &[],
        action: |stage| stage.get(SERVER_V4, PAGE, Patience::default()),
        expectation: Expectation {
            outcome: Outcome::Answered,
            syn_retransmissions: 0..=0,
            resets: 0..=0,
            port_unreachables: 0..=0,
        },
    },
    Scene {
        number: 2,
        name: "rejected",
        description: "The server's firewall rejects the connection with ICMP port unreachable, \
                      which the ISP drops: the client sees nothing and sends its SYN again and \
                      again. Only between the two can it be seen who refuses.",
        port: 8002,
        listening: true,
        rules: &[
            Rule {
                role: "server",
                table: "chain input { type filter hook input priority 0; \
                        tcp dport $port reject with icmp port-unreachable; }",
            },
            Rule {
                role: "isp",
                table: "chain forward { type filter hook forward priority 0; \
                        ip saddr 203.0.113.2 ip protocol icmp drop; }",
            },
        ],
        // Linux sends its SYN again after 1 s, and then after 2 and 3 s (since 6.5) or 3 s.
        action: |stage| {
            let connect = Duration::from_millis(3600);
            stage.get(SERVER_V4, PAGE, Patience { connect, ..Patience::default() })
        },
        expectation: Expectation {
            outcome: Outcome::TimedOut,
            syn_retransmissions: 2..=3,
            resets: 0..=0,
            port_unreachables: 1..=4,
        },
    },
    Scene {
        number: 4,
        name: "not-listening",
        description: "Nothing listens on the port: the server's kernel answers the SYN with RST.",
        port: 8004,
        listening: false,
        rules: &[],
        action: |stage| stage.get(SERVER_V4, PAGE, Patience::default()),
        expectation: Expectation {
            outcome: Outcome::Refused,
            syn_retransmissions: 0..=0,
            resets: 1..=1,
            port_unreachables: 0..=0,
        },
    },
];

/// The scenes that `wanted` names: one by its name or number, or `all`.
///
/// # Errors
/// There is no such scene; the message lists them.
pub fn select(wanted: &str) -> Result<Vec<&'static Scene>> {
    let is_wanted = |scene: &&Scene| {
        wanted == "all" || wanted == scene.name || wanted == scene.number.to_string()
    };
    let scenes: Vec<_> = SCENES.iter().filter(is_wanted).collect();
    if scenes.is_empty() {
        let names: Vec<_> = SCENES.iter().map(|scene| scene.name).collect();
        bail!("there is no scene \"{wanted}\"; there are {}, or all", names.join(", "));
    }
    Ok(scenes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_found_by_name_and_number() {
        assert_eq!(select("all").unwrap().len(), SCENES.len());
        for scene in &SCENES {
            assert_eq!(select(scene.name).unwrap()[0].number, scene.number);
            assert_eq!(select(&scene.number.to_string()).unwrap()[0].name, scene.name);
        }
        let error = select("opera").err().unwrap().to_string();
        assert!(error.contains("opera") && error.contains("working, rejected"), "{error}");
    }

    #[test]
    fn no_two_scenes_share_a_port() {
        let mut ports: Vec<_> = SCENES.iter().map(|scene| scene.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), SCENES.len());
    }

    #[test]
    fn what_did_not_happen_is_named() {
        let [_, rejected, _] = &SCENES;
        let mut trouble = Trouble { syn_retransmissions: 3, ..Trouble::default() };
        trouble.unreachables.insert("3/3".to_owned(), 4);
        let expectation = &rejected.expectation;
        assert!(expectation.disappointments(Outcome::TimedOut, &trouble).is_empty());
        let found = expectation.disappointments(Outcome::Refused, &Trouble::default());
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[1], "SYN retransmissions: 0, expected 2 to 3");
        assert_eq!(found[0], "the client's request: refused, expected: timed out");
    }
}
