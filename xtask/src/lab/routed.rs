//! `client — isp — gateway — server`: two hosts, and the routers of two parties between them. On
//! demand there is a router of a third, `core`, between gateway and server.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    Namespace, cleanup,
    link::{End, Veth},
    wait_until,
};

/// The client's IPv4 address.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The client's IPv6 address.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
/// The server's IPv4 address.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// The server's IPv6 address.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 2);
/// The gateway's interface towards the ISP and the client.
pub const GATEWAY_OUTSIDE: &str = "gw0";
/// The gateway's interface towards the server.
pub const GATEWAY_INSIDE: &str = "gw1";

/// Hops between gateway and server, as far as times to live tell, in a lab with `core`.
pub const SERVER_DISTANCE: u8 = 11;

/// Port on which nothing listens, for trying the path: discard.
const PROBE_PORT: u16 = 9;

/// How to make a [`Routed`] lab.
#[derive(Clone, Copy, Debug)]
pub struct RoutedOptions {
    /// MTU of all links, in bytes, 1,280 or more.
    pub mtu: u32,
    /// Queues of each interface.
    pub queues: u32,
    /// As in [`Veth::offloads`].
    pub offloads: bool,
    /// Give all neighbours their MAC addresses, so that no ARP or neighbour discovery is between
    /// the frames that a test counts.
    pub static_neighbours: bool,
    /// Have all frames received by one CPU. Otherwise a veth queues a frame on the CPU that
    /// happened to send it, and frames of one connection overtake each other: TCP then sees
    /// losses that nobody caused. Costs throughput.
    pub in_order: bool,
    /// Most that client and server each send, in Mbit/s; `None` for no limit. Unlimited, a
    /// download overruns the kernel's queues between namespaces (1,000 frames), which drop: a
    /// test that counts retransmissions needs a limit.
    pub rate_mbit: Option<u32>,
    /// Put the router `core` between gateway and server, which then is [`SERVER_DISTANCE`] hops
    /// away by its times to live: what `core` sends in the server's name can be told from what the
    /// server sends.
    pub core: bool,
}

impl Default for RoutedOptions {
    fn default() -> Self {
        Self {
            mtu: 1500,
            queues: 1,
            offloads: false,
            static_neighbours: true,
            in_order: true,
            rate_mbit: None,
            core: false,
        }
    }
}

/// The namespaces, joined, addressed and routed.
#[derive(Debug)]
pub struct Routed {
    /// Interface `cli0`: 198.51.100.2, 2001:db8:1::2.
    pub client: Namespace,
    /// Router. `isp0` towards the client: 198.51.100.1; `isp1` towards the gateway: 192.0.2.1.
    pub isp: Namespace,
    /// Router. `gw0` towards the ISP: 192.0.2.2; `gw1` towards the server: 203.0.113.1, or towards
    /// `core`: 198.18.0.1.
    pub gateway: Namespace,
    /// Router, if [`RoutedOptions::core`] is set. `core0` towards the gateway: 198.18.0.2; `core1`
    /// towards the server: 203.0.113.1.
    pub core: Option<Namespace>,
    /// Interface `srv0`: 203.0.113.2, 2001:db8:3::2.
    pub server: Namespace,
}

/// A link: its two ends, and its networks without the last byte or group.
struct Plan {
    ends: [Port; 2],
    v4: &'static str,
    v6: &'static str,
}

/// An interface; the last number of its addresses is `host`.
struct Port {
    role: &'static str,
    interface: &'static str,
    mac: &'static str,
    host: u8,
}

const fn port(role: &'static str, interface: &'static str, mac: &'static str, host: u8) -> Port {
    Port { role, interface, mac, host }
}

/// The links of all labs.
const OUTSIDE: [Plan; 2] = [
    Plan {
        ends: [
            port("client", "cli0", "02:00:00:00:01:02", 2),
            port("isp", "isp0", "02:00:00:00:01:01", 1),
        ],
        v4: "198.51.100.",
        v6: "2001:db8:1::",
    },
    Plan {
        ends: [
            port("isp", "isp1", "02:00:00:00:02:01", 1),
            port("gateway", GATEWAY_OUTSIDE, "02:00:00:00:02:02", 2),
        ],
        v4: "192.0.2.",
        v6: "2001:db8:2::",
    },
];

/// The link to the server without `core`.
const INSIDE: [Plan; 1] = [Plan {
    ends: [
        port("gateway", GATEWAY_INSIDE, "02:00:00:00:03:01", 1),
        port("server", "srv0", "02:00:00:00:03:02", 2),
    ],
    v4: "203.0.113.",
    v6: "2001:db8:3::",
}];

/// The links to the server with `core`.
const INSIDE_WITH_CORE: [Plan; 2] = [
    Plan {
        ends: [
            port("gateway", GATEWAY_INSIDE, "02:00:00:00:04:01", 1),
            port("core", "core0", "02:00:00:00:04:02", 2),
        ],
        v4: "198.18.0.",
        v6: "2001:db8:4::",
    },
    Plan {
        ends: [
            port("core", "core1", "02:00:00:00:03:01", 1),
            port("server", "srv0", "02:00:00:00:03:02", 2),
        ],
        v4: "203.0.113.",
        v6: "2001:db8:3::",
    },
];

/// Role, network, next hop.
const ROUTES: [(&str, &str, &str); 8] = [
    ("client", "default", "198.51.100.1"),
    ("client", "default", "2001:db8:1::1"),
    ("isp", "203.0.113.0/24", "192.0.2.2"),
    ("isp", "2001:db8:3::/64", "2001:db8:2::2"),
    ("gateway", "198.51.100.0/24", "192.0.2.1"),
    ("gateway", "2001:db8:1::/64", "2001:db8:2::1"),
    ("server", "default", "203.0.113.1"),
    ("server", "default", "2001:db8:3::1"),
];

/// What `core` adds.
const CORE_ROUTES: [(&str, &str, &str); 4] = [
    ("gateway", "203.0.113.0/24", "198.18.0.2"),
    ("gateway", "2001:db8:3::/64", "2001:db8:4::2"),
    ("core", "default", "198.18.0.1"),
    ("core", "default", "2001:db8:4::1"),
];

/// No link-local addresses, duplicate address detection or router solicitation: these would put
/// frames of their own between those that a test counts.
const QUIET: [(&str, &str); 4] = [
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

const FORWARDING: [(&str, &str); 2] = [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];

/// Receive packet steering to CPU 0.
const RECEIVE_ON_ONE_CPU: &str =
    "set -e; for cpus in /sys/class/net/*/queues/rx-*/rps_cpus; do echo 1 > $cpus; done";

impl Routed {
    pub(super) fn build(options: &RoutedOptions) -> Result<Self> {
        let prefix = cleanup::new_prefix();
        let namespace = |role| -> Result<Namespace> {
            let namespace = Namespace::create(&prefix, role)?;
            namespace.sysctls(&QUIET)?;
            Ok(namespace)
        };
        let lab = Self {
            client: namespace("client")?,
            isp: namespace("isp")?,
            gateway: namespace("gateway")?,
            core: options.core.then(|| namespace("core")).transpose()?,
            server: namespace("server")?,
        };
        for router in [Some(&lab.isp), Some(&lab.gateway), lab.core.as_ref()].into_iter().flatten()
        {
            router.sysctls(&FORWARDING)?;
        }
        let inside = if options.core { &INSIDE_WITH_CORE[..] } else { &INSIDE };
        for plan in OUTSIDE.iter().chain(inside) {
            lab.join(plan, options)?;
        }
        lab.tune(options)?;
        let core_routes = if options.core { &CORE_ROUTES[..] } else { &[] };
        for (role, network, next_hop) in ROUTES.iter().chain(core_routes) {
            lab.role(role)?.ip(&format!("route add {network} via {next_hop}"))?;
        }
        lab.await_path(SERVER_V4.into())?;
        lab.await_path(SERVER_V6.into())?;
        Ok(lab)
    }

    fn tune(&self, options: &RoutedOptions) -> Result<()> {
        if options.in_order {
            for namespace in self.namespaces() {
                namespace.run(&["sh", "-c", RECEIVE_ON_ONE_CPU])?;
            }
        }
        if let Some(rate) = options.rate_mbit {
            limit(&self.client, "cli0", rate)?;
            limit(&self.server, "srv0", rate)?;
        }
        if options.core {
            // `core` takes one off, as any router does.
            let start = (64 + 1 - SERVER_DISTANCE).to_string();
            self.server.sysctls(&[
                ("ipv4/ip_default_ttl", &start),
                ("ipv6/conf/all/hop_limit", &start),
                ("ipv6/conf/srv0/hop_limit", &start),
            ])?;
        }
        Ok(())
    }

    /// All namespaces, from client to server.
    fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        let Self { client, isp, gateway, core, server } = self;
        [client, isp, gateway].into_iter().chain(core).chain([server])
    }

    /// The namespace of a role: `client`, `isp`, `gateway`, `core` or `server`.
    ///
    /// # Errors
    /// The lab has no such role.
    pub fn role(&self, role: &str) -> Result<&Namespace> {
        match role {
            "client" => Ok(&self.client),
            "isp" => Ok(&self.isp),
            "gateway" => Ok(&self.gateway),
            "server" => Ok(&self.server),
            other => {
                let core = self.core.as_ref().filter(|_| other == "core");
                core.with_context(|| {
                    format!("the lab has no {other}: client, isp, gateway, server")
                })
            }
        }
    }

    fn join(&self, plan: &Plan, options: &RoutedOptions) -> Result<()> {
        let Plan { ends: [one, two], v4, v6 } = plan;
        let end = |port: &Port| -> Result<End<'_>> {
            let Port { role, interface, mac, .. } = *port;
            Ok(End { namespace: self.role(role)?, interface, mac })
        };
        let RoutedOptions { mtu, queues, offloads, .. } = *options;
        Veth { ends: [end(one)?, end(two)?], queues, mtu, offloads }.create()?;
        for (here, there) in [(one, two), (two, one)] {
            let namespace = self.role(here.role)?;
            let interface = here.interface;
            namespace.ip(&format!("addr add {v4}{}/24 dev {interface}", here.host))?;
            namespace.ip(&format!("addr add {v6}{}/64 dev {interface} nodad", here.host))?;
            if options.static_neighbours {
                for network in [v4, v6] {
                    namespace.ip(&format!(
                        "neigh replace {network}{} lladdr {} dev {interface} nud permanent",
                        there.host, there.mac
                    ))?;
                }
            }
        }
        Ok(())
    }

    /// Tries from the client until the server itself refuses a connection.
    fn await_path(&self, server: IpAddr) -> Result<()> {
        let address = SocketAddr::new(server, PROBE_PORT);
        let refused = self.client.enter(|| {
            wait_until(Duration::from_secs(10), "the path", || {
                let tried = TcpStream::connect_timeout(&address, Duration::from_millis(500));
                let refused = tried.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
                Ok(refused.then_some(()))
            })
        })?;
        refused.with_context(|| format!("the client does not reach {server}"))
    }
}

/// Limits what an interface sends. The queue before the limit is long enough for all that TCP's
/// own limit of queued bytes lets in.
fn limit(namespace: &Namespace, interface: &str, rate_mbit: u32) -> Result<()> {
    let rate = format!("{rate_mbit}mbit");
    let qdisc = ["tc", "qdisc", "add", "dev", interface, "root", "tbf", "rate", &rate];
    namespace.run(&[&qdisc[..], &["burst", "32kb", "limit", "8mb"]].concat()).map(|_| ())
}
