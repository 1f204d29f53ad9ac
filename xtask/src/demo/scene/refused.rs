//! Somebody says no: the host, its firewall, a router on the way, or a device that speaks in the
//! host's name.

use super::{
    super::{
        asking::Outcome,
        expectation::{Count, Expectation},
        verdict::{Expected, Side, Verdict},
    },
    IN_VAIN, IpVersion, Prop, Scene, Server,
};
use crate::lab::http::Patience;

pub(super) const REJECTED: Scene = Scene {
    number: 2,
    name: "rejected",
    description: "The server's firewall rejects the connection with ICMP port unreachable, which the \
                  ISP drops: the client sees nothing and sends its SYN again and again. Only between \
                  the two can it be seen who refuses.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[
        Prop::Rules {
            role: "server",
            table: "chain input { type filter hook input priority 0; \
                    tcp dport $port reject with icmp port-unreachable; }",
        },
        // The destination port of the quoted segment is behind 8 bytes of ICMP, 20 of IPv4 and the
        // source port. An ISP does not look: but other scenes may be on at the same time.
        Prop::Rules {
            role: "isp",
            table: "chain forward { type filter hook forward priority 0; \
                    icmp type destination-unreachable @th,240,16 $port drop; }",
        },
    ],
    action: |stage| stage.page(Patience::to_connect(IN_VAIN)),
    expectation: Expectation {
        outcome: Outcome::TimedOut,
        counts: &[(Count::SynAgain, 2..=3), (Count::Unreachable("3/3"), 3..=4)],
    },
    verdict: Expected {
        verdict: Verdict::HostRejects,
        sides: &[Side::Server],
        also: &[Verdict::AnswerLostToClient],
    },
};

pub(super) const REJECTED_V6: Scene = Scene {
    number: 22,
    name: "rejected-v6",
    version: IpVersion::V6,
    props: &[
        Prop::Rules {
            role: "server",
            table: "chain input { type filter hook input priority 0; \
                    tcp dport $port reject with icmpv6 port-unreachable; }",
        },
        // IPv6's header has 40 bytes.
        Prop::Rules {
            role: "isp",
            table: "chain forward { type filter hook forward priority 0; \
                    icmpv6 type destination-unreachable @th,400,16 $port drop; }",
        },
    ],
    expectation: Expectation {
        outcome: Outcome::TimedOut,
        counts: &[(Count::SynAgain, 2..=3), (Count::Unreachable("v6 1/4"), 3..=4)],
    },
    ..REJECTED
};

pub(super) const NOT_LISTENING: Scene = Scene {
    number: 4,
    name: "not-listening",
    description: "Nothing listens on the port: the server's kernel answers the SYN with RST.",
    version: IpVersion::V4,
    server: Server::None,
    props: &[],
    action: |stage| stage.page(Patience::default()),
    expectation: Expectation { outcome: Outcome::Refused, counts: &[(Count::Reset, 1..=1)] },
    verdict: Expected::only(Verdict::NothingListens, &[Side::Server]),
};

pub(super) const NOT_LISTENING_V6: Scene =
    Scene { number: 24, name: "not-listening-v6", version: IpVersion::V6, ..NOT_LISTENING };

// In both: an error that comes while the client's kernel is still in `connect` counts as a hint
// only. The client then sends its SYN once more.
pub(super) const HOP_REJECTS: Scene = Scene {
    number: 8,
    name: "hop-rejects",
    description: "A router in front of the server refuses with ICMP administratively prohibited: the \
                  sender is not the host that was asked.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[Prop::Rules {
        role: "core",
        table: "chain forward { type filter hook forward priority 0; \
                tcp dport $port reject with icmp admin-prohibited; }",
    }],
    action: |stage| stage.page(Patience::default()),
    expectation: Expectation {
        outcome: Outcome::Refused,
        counts: &[(Count::Unreachable("3/13"), 1..=2), (Count::SynAgain, 0..=1)],
    },
    verdict: Expected::only(Verdict::HopRejects, &[Side::ServerNetwork]),
};

pub(super) const HOP_REJECTS_V6: Scene = Scene {
    number: 28,
    name: "hop-rejects-v6",
    version: IpVersion::V6,
    props: &[Prop::Rules {
        role: "core",
        table: "chain forward { type filter hook forward priority 0; \
                tcp dport $port reject with icmpv6 admin-prohibited; }",
    }],
    expectation: Expectation {
        outcome: Outcome::Refused,
        counts: &[(Count::Unreachable("v6 1/1"), 1..=2), (Count::SynAgain, 0..=1)],
    },
    ..HOP_REJECTS
};

pub(super) const RESET_OF_SYN: Scene = Scene {
    number: 10,
    name: "reset-of-syn",
    description: "A device in front of the server lets one connection pass and answers the SYN of \
                  the next with RST in the server's name: its time to live is not the server's.",
    version: IpVersion::V4,
    server: Server::Web,
    props: &[Prop::Rules {
        role: "core",
        table: "chain forward { type filter hook forward priority 0; \
                tcp dport $port tcp flags & (syn | ack) == syn numgen inc mod 2 == 1 \
                reject with tcp reset; }",
    }],
    action: |stage| {
        stage.must_answer()?;
        stage.page(Patience::default())
    },
    expectation: Expectation { outcome: Outcome::Refused, counts: &[(Count::Reset, 1..=1)] },
    verdict: Expected::only(Verdict::ResetInBetween, &[Side::ServerNetwork]),
};

pub(super) const RESET_OF_REQUEST: Scene = Scene {
    number: 11,
    name: "reset-of-request",
    description: "A device in front of the server lets the connection be opened and answers the \
                  request with RST in the server's name: its time to live is not the server's.",
    props: &[Prop::Rules {
        role: "core",
        table: "chain forward { type filter hook forward priority 0; \
                tcp dport $port tcp flags & psh == psh reject with tcp reset; }",
    }],
    action: |stage| stage.page(Patience::default()),
    expectation: Expectation { outcome: Outcome::Reset, counts: &[(Count::Reset, 1..=1)] },
    ..RESET_OF_SYN
};

pub(super) const UDP_DOWN: Scene = Scene {
    number: 14,
    name: "udp-down",
    description: "The client asks a DNS server that is not running: the host answers the datagram \
                  with ICMP port unreachable.",
    version: IpVersion::V4,
    server: Server::NoneOfUdp,
    props: &[],
    action: |stage| stage.datagram(),
    expectation: Expectation {
        outcome: Outcome::Refused,
        counts: &[(Count::Unreachable("3/3"), 1..=1)],
    },
    verdict: Expected::only(Verdict::HostRejects, &[Side::Server]),
};
