//! The lab: hosts, routers and links made of network namespaces and veth pairs.
//!
//! Nothing in here touches an interface of the machine itself. What a lab made goes with it: when
//! it is dropped, on panic, and on Ctrl-C; what a killed process left behind goes when the next
//! lab starts (see [`cleanup`]).
//!
//! - [`Routed`]: `client — isp — gateway — server`, for the demo and the end-to-end tests.
//! - [`Pair`]: two namespaces with nothing but wires between them, for mirror mode and generators.
//! - [`Daemon`], [`HttpServer`], [`HttpServers`](http::HttpServers), [`http::get`]: what runs in them.
//! - [`Tcpdump`]: what captured is compared with.
//! - [`readers`]: other people's programs that judge what captured wrote.

pub mod build;
pub mod cleanup;
pub mod command;
pub mod daemon;
pub mod http;
pub mod interrupt;
pub mod link;
pub mod metrics;
pub mod namespace;
pub mod pair;
pub mod process;
pub mod readers;
pub mod routed;
pub mod tcpdump;
pub mod wait;

pub use daemon::Daemon;
pub use http::HttpServer;
pub use metrics::Metrics;
pub use namespace::Namespace;
pub use pair::{Pair, PairOptions};
pub use process::Process;
pub use routed::{Routed, RoutedOptions};
pub use tcpdump::Tcpdump;
pub use wait::wait_until;

/// The ways to make a lab.
pub struct Lab;

impl Lab {
    /// `client — isp — gateway — server`.
    ///
    /// # Errors
    /// A namespace, link or address could not be made, or the path does not come up.
    pub fn routed(options: &RoutedOptions) -> anyhow::Result<Routed> {
        Routed::build(options)
    }

    /// Two namespaces joined by plain wires.
    ///
    /// # Errors
    /// A namespace or link could not be made.
    pub fn pair(options: &PairOptions) -> anyhow::Result<Pair> {
        Pair::build(options)
    }
}
