//! The words of a diagnosis.

use serde::{Deserialize, Serialize};

use crate::flows::End;

/// What is wrong. In the order in which findings of equal weight are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// This gateway drops or rejects what it should forward.
    DroppedByGateway,
    /// The host that was asked rejects by ICMP.
    HostRejects,
    /// A router on the way rejects by ICMP, or has no route, or the packets go in circles.
    HopRejects,
    /// The host answers SYNs with RST: no process listens on the port.
    NothingListens,
    /// What left this gateway is never answered.
    SilentDropBeyond,
    /// A device in between sends RSTs in the name of an end.
    ResetInBetween,
    /// The server's answer left this gateway, and the client did not hear it.
    AnswerLostToClient,
    /// Large packets vanish, small ones pass.
    MtuBlackHole,
    /// Data is lost between its sender and this gateway.
    LossUpstream,
    /// Data is lost between this gateway and its receiver.
    LossDownstream,
    /// A receiver does not read as fast as data comes, and says so.
    ReceiverSlow,
    /// The network is fine; the server takes long to answer.
    ServerSlow,
    /// Nothing is wrong.
    Healthy,
}

/// Which side is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The host that asked.
    Client,
    /// The host that was asked.
    Server,
    /// The host that captures.
    Gateway,
    /// What is between the client and this gateway.
    ClientNetwork,
    /// What is between the server and this gateway.
    ServerNetwork,
}

/// In which direction packets are in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What the client sends.
    ClientToServer,
    /// What the server sends.
    ServerToClient,
    /// Both.
    Both,
}

/// How sure a finding is. The surest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Evidence is direct: it was said, or seen.
    Certain,
    /// Another explanation is far-fetched.
    Likely,
    /// There are other explanations; `why` names them.
    Possible,
}

impl Verdict {
    /// As in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::DroppedByGateway => "dropped-by-gateway",
            Self::HostRejects => "host-rejects",
            Self::HopRejects => "hop-rejects",
            Self::NothingListens => "nothing-listens",
            Self::SilentDropBeyond => "silent-drop-beyond",
            Self::ResetInBetween => "reset-in-between",
            Self::AnswerLostToClient => "answer-lost-to-client",
            Self::MtuBlackHole => "mtu-black-hole",
            Self::LossUpstream => "loss-upstream",
            Self::LossDownstream => "loss-downstream",
            Self::ReceiverSlow => "receiver-slow",
            Self::ServerSlow => "server-slow",
            Self::Healthy => "healthy",
        }
    }

    /// Does it keep conversations from going on, rather than slow them down?
    #[must_use]
    pub const fn stops_conversations(self) -> bool {
        !matches!(
            self,
            Self::LossUpstream
                | Self::LossDownstream
                | Self::ReceiverSlow
                | Self::ServerSlow
                | Self::Healthy
        )
    }
}

impl Side {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "the client",
            Self::Server => "the server",
            Self::Gateway => "this gateway",
            Self::ClientNetwork => "the network between client and this gateway",
            Self::ServerNetwork => "the network between this gateway and server",
        }
    }

    /// The host at this end.
    pub(super) const fn host(end: End) -> Self {
        match end {
            End::Client => Self::Client,
            End::Server => Self::Server,
        }
    }

    /// The network between this gateway and an end.
    pub(super) const fn network(end: End) -> Self {
        match end {
            End::Client => Self::ClientNetwork,
            End::Server => Self::ServerNetwork,
        }
    }
}

impl Direction {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientToServer => "from client to server",
            Self::ServerToClient => "from server to client",
            Self::Both => "both ways",
        }
    }

    /// Of what an end sends.
    pub(super) const fn from(end: End) -> Self {
        match end {
            End::Client => Self::ClientToServer,
            End::Server => Self::ServerToClient,
        }
    }
}

impl Confidence {
    /// For people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }

    /// At the start of a sentence.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Certain => "Certain",
            Self::Likely => "Likely",
            Self::Possible => "Possible",
        }
    }

    /// One step less sure.
    pub(super) const fn lowered(self) -> Self {
        match self {
            Self::Certain => Self::Likely,
            Self::Likely | Self::Possible => Self::Possible,
        }
    }
}
