//! Nobody says anything: packets are dropped.

use super::{
    super::{
        asking::Outcome,
        expectation::{Count, Expectation},
        verdict::{Expected, Side, Verdict},
    },
    IN_VAIN, IpVersion, Prop, Scene, Server,
};
use crate::lab::http::Patience;

pub(super) const SILENT_DROP: Scene = Scene {
    number: 3,
    name: "silent-drop",
    description: "The server's firewall drops the SYN and says nothing: what left the gateway is \
                  never answered.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[Prop::Rules {
        role: "server",
        table: "chain input { type filter hook input priority 0; tcp dport $port drop; }",
    }],
    action: |stage| stage.page(Patience::to_connect(IN_VAIN)),
    expectation: Expectation { outcome: Outcome::TimedOut, counts: &[(Count::SynAgain, 2..=3)] },
    // From the gateway a host that says nothing looks as a network does that drops.
    verdict: Expected::only(Verdict::SilentDropBeyond, &[Side::Server, Side::ServerNetwork]),
};

pub(super) const SILENT_DROP_V6: Scene =
    Scene { number: 23, name: "silent-drop-v6", version: IpVersion::V6, ..SILENT_DROP };

pub(super) const GATEWAY_DROPS: Scene = Scene {
    number: 7,
    name: "gateway-drops",
    description: "The gateway's own firewall lets one connection pass and drops the SYNs of the next: \
                  they come in and do not leave.",
    props: &[Prop::Rules {
        role: "gateway",
        table: "chain forward { type filter hook forward priority 0; \
                tcp dport $port tcp flags & (syn | ack) == syn numgen inc mod 100 > 0 drop; }",
    }],
    action: |stage| {
        stage.must_answer()?;
        stage.page(Patience::to_connect(IN_VAIN))
    },
    verdict: Expected::only(Verdict::DroppedByGateway, &[Side::Gateway]),
    ..SILENT_DROP
};

pub(super) const ANSWERS_LOST: Scene = Scene {
    number: 9,
    name: "answers-lost",
    description: "The ISP drops what the server answers: SYN and SYN-ACK are both sent again.",
    props: &[Prop::Rules {
        role: "isp",
        table: "chain forward { type filter hook forward priority 0; \
                tcp sport $port tcp flags & (syn | ack) == (syn | ack) drop; }",
    }],
    expectation: Expectation {
        outcome: Outcome::TimedOut,
        counts: &[(Count::SynAgain, 2..=3), (Count::SynAckAgain, 2..=9)],
    },
    verdict: Expected::only(Verdict::AnswerLostToClient, &[Side::ClientNetwork]),
    ..SILENT_DROP
};
