//! A wire between two namespaces: a veth pair.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Namespace, wait_until};

/// One end of a wire.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// Name of the interface there.
    pub interface: &'a str,
    /// Its MAC address.
    pub mac: &'a str,
}

/// A veth pair to be made.
#[derive(Clone, Copy)]
pub struct Veth<'a> {
    /// The two ends.
    pub ends: [End<'a>; 2],
    /// Receive and transmit queues at each end.
    pub queues: u32,
    /// MTU of both ends, in bytes.
    pub mtu: u32,
    /// Leave checksum and segmentation offload on, as veth comes. Off, frames on the wire are as
    /// long and have the checksums that they would have on a cable: what a reader expects.
    pub offloads: bool,
}

impl Veth<'_> {
    /// Makes the pair and brings both ends up.
    ///
    /// # Errors
    /// `ip` or `ethtool` failed, or there is no carrier after 10 s.
    pub fn create(&self) -> Result<()> {
        let [one, two] = &self.ends;
        let Self { queues, mtu, .. } = self;
        let half = |end: &End<'_>| {
            let End { namespace, interface, mac } = end;
            format!(
                "{interface} netns {} address {mac} mtu {mtu} numrxqueues {queues} numtxqueues {queues}",
                namespace.name()
            )
        };
        one.namespace
            .ip(&format!("link add {} type veth peer name {}", half(one), half(two)))
            .with_context(|| format!("cannot make {} — {}", one.interface, two.interface))?;
        for end in &self.ends {
            if !self.offloads {
                end.namespace.run(&[
                    "ethtool",
                    "-K",
                    end.interface,
                    "tx",
                    "off",
                    "tso",
                    "off",
                    "gso",
                    "off",
                    "gro",
                    "off",
                ])?;
            }
            end.namespace.ip(&format!("link set {} up", end.interface))?;
        }
        self.ends.iter().try_for_each(await_carrier)
    }
}

/// The kernel starts the queue of a new link a moment after it is set up; what is sent before is
/// dropped.
fn await_carrier(end: &End<'_>) -> Result<()> {
    let End { namespace, interface, .. } = end;
    let what = format!("the link {interface} of {}", namespace.name());
    wait_until(Duration::from_secs(10), &what, || {
        let shown = namespace.ip(&format!("-oneline link show dev {interface}"))?;
        Ok(shown.contains(" state UP ").then_some(()))
    })
}
