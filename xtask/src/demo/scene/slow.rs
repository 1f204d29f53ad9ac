//! The connection stands, but the data does not flow as it should.

use std::time::Duration;

use super::{
    super::{
        asking::{FAR_CLIENT, Outcome},
        expectation::{Count, Expectation},
        verdict::{Expected, Side, Verdict},
    },
    IpVersion, Prop, Scene, Server,
};
use crate::lab::http::{BIG_FILE, PAGE, Patience};

/// Enough for a download with losses, on a busy machine too.
const DOWNLOAD: Duration = Duration::from_secs(30);
/// Within it a black hole swallows the first segment of an answer four times: Linux sends it again
/// after 0.2, 0.4, 0.8 and 1.6 s.
const STALLED: Duration = Duration::from_millis(3500);
/// What the slow server thinks before it answers.
const THINKING: Duration = Duration::from_secs(3);

pub(super) const LOSS_UPSTREAM: Scene = Scene {
    number: 5,
    name: "loss-upstream",
    description: "A download, of which one large segment in 40 is lost between the server and the \
                  gateway: the gateway sees the holes.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[Prop::Rules {
        role: "core",
        table: "chain forward { type filter hook forward priority 0; \
                tcp sport $port ip length > 1000 numgen inc mod 40 == 20 drop; }",
    }],
    action: |stage| stage.fetch(BIG_FILE, Patience::in_all(DOWNLOAD)),
    expectation: Expectation {
        outcome: Outcome::Answered,
        counts: &[(Count::DataAgain, 10..=200)],
    },
    verdict: Expected::only(Verdict::LossUpstream, &[Side::ServerNetwork]),
};

pub(super) const LOSS_DOWNSTREAM: Scene = Scene {
    number: 6,
    name: "loss-downstream",
    description: "A download, of which one large segment in 40 is lost between the gateway and the \
                  client: the gateway sees the same data twice.",
    props: &[Prop::Rules {
        role: "isp",
        table: "chain forward { type filter hook forward priority 0; \
                tcp sport $port ip length > 1000 numgen inc mod 40 == 20 drop; }",
    }],
    verdict: Expected::only(Verdict::LossDownstream, &[Side::ClientNetwork]),
    ..LOSS_UPSTREAM
};

pub(super) const SLOW_RECEIVER: Scene = Scene {
    number: 12,
    name: "slow-receiver",
    description: "The client does not read for a while: it closes its receive window, and the server \
                  must wait.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[],
    action: |stage| stage.read_late(BIG_FILE),
    // A tail loss probe (RFC 8985, section 7.3) may be among what is sent into the last bit of the
    // window: its ACK waits for the reader.
    expectation: Expectation {
        outcome: Outcome::Answered,
        counts: &[(Count::ZeroWindow, 2..=20), (Count::DataAgain, 0..=3)],
    },
    verdict: Expected::only(Verdict::ReceiverSlow, &[Side::Client]),
};

pub(super) const MTU_BLACK_HOLE: Scene = Scene {
    number: 13,
    name: "mtu-black-hole",
    description: "The ISP's link to the client takes 1,280 bytes only, and its ICMP fragmentation \
                  needed is dropped: small answers pass, large ones vanish.",
    version: IpVersion::V4,
    server: Server::Web,
    // An address of its own, since the limit is that of a route.
    props: &[
        Prop::Ip {
            role: "client",
            make: "addr add 198.51.100.3/24 dev cli0",
            remove: "addr del 198.51.100.3/24 dev cli0",
        },
        Prop::Ip {
            role: "isp",
            make: "route add 198.51.100.3 dev isp0 mtu 1280",
            remove: "route del 198.51.100.3 dev isp0",
        },
        Prop::Rules {
            role: "isp",
            table: "chain output { type filter hook output priority 0; \
                    icmp type destination-unreachable icmp code frag-needed drop; }",
        },
    ],
    action: |stage| {
        stage.must_answer()?;
        stage.fetch_from(FAR_CLIENT, PAGE, Patience::default())?.must(Outcome::Answered)?;
        stage.fetch_from(FAR_CLIENT, BIG_FILE, Patience::in_all(STALLED))
    },
    expectation: Expectation { outcome: Outcome::TimedOut, counts: &[(Count::DataAgain, 3..=30)] },
    verdict: Expected::only(Verdict::MtuBlackHole, &[Side::ClientNetwork]),
};

pub(super) const SLOW_SERVER: Scene = Scene {
    number: 15,
    name: "slow-server",
    description: "The server takes three seconds to answer, while the network is fine.",
    version: IpVersion::V4,
    server: Server::Thinking(THINKING),
    props: &[],
    action: |stage| stage.page(Patience::default()),
    expectation: Expectation { outcome: Outcome::Answered, counts: &[] },
    verdict: Expected::only(Verdict::ServerSlow, &[Side::Server]),
};
