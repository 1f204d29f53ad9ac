//! What is played, and what must come of it. One file per family of scenes.

mod refused;
mod silent;
mod slow;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, bail};

use super::{
    asking::{Asked, Outcome, Stage},
    expectation::Expectation,
    verdict::{Expected, Verdict},
};
use crate::lab::{
    http::{Listener, Patience},
    routed::{SERVER_V4, SERVER_V6},
};

/// One scene.
#[derive(Debug)]
pub struct Scene {
    /// Its number in the documentation, below 99. Those over IPv6 are 20 higher than their likes.
    pub number: u8,
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, and why it is worth seeing.
    pub description: &'static str,
    /// How the server is asked.
    pub version: IpVersion,
    /// What listens on the scene's port.
    pub server: Server,
    /// What is in place during the scene.
    pub props: &'static [Prop],
    /// What the client does.
    pub action: fn(&Stage<'_>) -> Result<Asked>,
    /// What must be on the wire.
    pub expectation: Expectation,
    /// What the daemon must say of it.
    pub verdict: Expected,
}

/// Version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What listens on a scene's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Nothing.
    None,
    /// Nothing, and it is asked over UDP.
    NoneOfUdp,
    /// A web server.
    Web,
    /// A web server that thinks before it answers.
    Thinking(Duration),
}

/// What is put up before a scene, and taken away after it.
#[derive(Clone, Copy, Debug)]
pub enum Prop {
    /// nftables rules of one namespace.
    Rules {
        /// Whose: a role of the lab.
        role: &'static str,
        /// Content of a table of family `inet`; `$port` is the scene's port.
        table: &'static str,
    },
    /// Something that `ip` makes.
    Ip {
        /// Whose: a role of the lab.
        role: &'static str,
        /// Arguments of `ip` that make it.
        make: &'static str,
        /// Arguments of `ip` that take it away.
        remove: &'static str,
    },
}

impl Scene {
    /// The server's port in this scene and no other, so that its frames can be told apart.
    #[must_use]
    pub const fn port(&self) -> u16 {
        8000 + self.number as u16
    }

    /// The server's address in this scene.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match self.version {
            IpVersion::V4 => IpAddr::V4(SERVER_V4),
            IpVersion::V6 => IpAddr::V6(SERVER_V6),
        }
    }

    /// What the client asks.
    #[must_use]
    pub const fn service(&self) -> SocketAddr {
        SocketAddr::new(self.address(), self.port())
    }

    /// What it asks over, as the daemon has it.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        if self.server == Server::NoneOfUdp { "udp" } else { "tcp" }
    }

    /// What the server must listen to.
    #[must_use]
    pub fn listener(&self) -> Option<Listener> {
        let thinking = match self.server {
            Server::None | Server::NoneOfUdp => return None,
            Server::Web => Duration::ZERO,
            Server::Thinking(time) => time,
        };
        Some(Listener { port: self.port(), thinking })
    }
}

/// How long clients wait for a connection that never comes. Linux sends its SYN again after 1 s, and
/// then at 2 and 3 s (since 6.5) or at 3 s.
const IN_VAIN: Duration = Duration::from_millis(3600);

const WORKING: Scene = Scene {
    number: 1,
    name: "working",
    description: "The client fetches a page, and all is well.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[],
    action: |stage| stage.page(Patience::default()),
    expectation: Expectation { outcome: Outcome::Answered, counts: &[] },
    verdict: Expected::only(Verdict::Healthy, &[]),
};

const WORKING_V6: Scene =
    Scene { number: 21, name: "working-v6", version: IpVersion::V6, ..WORKING };

/// All scenes, in the order of their numbers.
pub static SCENES: [Scene; 20] = [
    WORKING,
    refused::REJECTED,
    silent::SILENT_DROP,
    refused::NOT_LISTENING,
    slow::LOSS_UPSTREAM,
    slow::LOSS_DOWNSTREAM,
    silent::GATEWAY_DROPS,
    refused::HOP_REJECTS,
    silent::ANSWERS_LOST,
    refused::RESET_OF_SYN,
    refused::RESET_OF_REQUEST,
    slow::SLOW_RECEIVER,
    slow::MTU_BLACK_HOLE,
    refused::UDP_DOWN,
    slow::SLOW_SERVER,
    WORKING_V6,
    refused::REJECTED_V6,
    silent::SILENT_DROP_V6,
    refused::NOT_LISTENING_V6,
    refused::HOP_REJECTS_V6,
];

/// Numbers of the scenes that are played, one after the other, when none is asked for.
const SHORT: [u8; 3] = [1, 2, 4];

/// The name of [`SHORT`] on the command line.
pub const SHORT_NAME: &str = "short";

/// The scenes that `wanted` names: one by its name or number, `short`, or `all`.
///
/// # Errors
/// There is no such scene; the message lists them.
pub fn select(wanted: &str) -> Result<Vec<&'static Scene>> {
    let is_wanted = |scene: &&Scene| match wanted {
        "all" => true,
        SHORT_NAME => SHORT.contains(&scene.number),
        other => other == scene.name || other == scene.number.to_string(),
    };
    let scenes: Vec<_> = SCENES.iter().filter(is_wanted).collect();
    if scenes.is_empty() {
        let names: Vec<_> = SCENES.iter().map(|scene| scene.name).collect();
        bail!(
            "there is no scene \"{wanted}\"; there are {}, {SHORT_NAME}, or all",
            names.join(", ")
        );
    }
    Ok(scenes)
}

#[cfg(test)]
mod tests {
    use super::{super::verdict::Side, *};

    #[test]
    fn scenes_are_found_by_name_and_number() {
        assert_eq!(select("all").unwrap().len(), SCENES.len());
        for scene in &SCENES {
            assert_eq!(select(scene.name).unwrap()[0].number, scene.number);
            assert_eq!(select(&scene.number.to_string()).unwrap()[0].name, scene.name);
        }
        let short = select("short").unwrap();
        assert!(short.iter().map(|scene| scene.number).eq(SHORT));
        let error = select("opera").err().unwrap().to_string();
        assert!(error.contains("opera") && error.contains("working, rejected"), "{error}");
    }

    #[test]
    fn numbers_rise_and_so_no_two_scenes_share_a_port() {
        assert!(SCENES.is_sorted_by(|one, two| one.number < two.number));
        assert!(SCENES.iter().all(|scene| scene.number < 99));
        assert!(SCENES.iter().all(|scene| (scene.version == IpVersion::V6) == (scene.number > 20)));
    }

    #[test]
    fn every_verdict_is_provoked_and_every_one_but_healthy_blames_a_side() {
        for verdict in Verdict::ALL {
            let of_it: Vec<_> =
                SCENES.iter().filter(|scene| scene.verdict.verdict == verdict).collect();
            assert!(!of_it.is_empty(), "no scene expects {verdict}");
            for scene in of_it {
                let sides: &[Side] = scene.verdict.sides;
                assert_eq!(sides.is_empty(), verdict == Verdict::Healthy, "{}", scene.name);
            }
        }
    }
}
