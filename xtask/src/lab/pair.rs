//! Two namespaces with nothing but wires between them.

use anyhow::Result;

use super::{
    Namespace, cleanup,
    link::{End, Veth},
};

/// How to make a [`Pair`].
#[derive(Clone, Copy, Debug)]
pub struct PairOptions {
    /// Wires, 1 to 99.
    pub links: usize,
    /// Queues of each end of each wire.
    pub queues: u32,
    /// MTU, in bytes; 65,535 is the most that veth takes, and XDP without multi-buffer support
    /// takes about 3,500.
    pub mtu: u32,
    /// As in [`Veth::offloads`].
    pub offloads: bool,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self { links: 1, queues: 1, mtu: 1500, offloads: false }
    }
}

/// One wire of a [`Pair`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Interface in [`Pair::sender`]: `tx0`, `tx1`, …
    pub sender: String,
    /// Its MAC address.
    pub sender_mac: String,
    /// Interface in [`Pair::monitor`]: `mon0`, `mon1`, …
    pub monitor: String,
    /// Its MAC address.
    pub monitor_mac: String,
}

/// A sender and a monitor. The interfaces have no addresses, not even link-local ones, and
/// neither side sends anything of its own: what is on a wire is what the test put there.
#[derive(Debug)]
pub struct Pair {
    /// Where frames come from.
    pub sender: Namespace,
    /// Where they are captured.
    pub monitor: Namespace,
    /// What joins them.
    pub wires: Vec<Wire>,
}

impl Pair {
    pub(super) fn build(options: &PairOptions) -> Result<Self> {
        let prefix = cleanup::new_prefix();
        let sender = Namespace::create(&prefix, "sender")?;
        let monitor = Namespace::create(&prefix, "monitor")?;
        for namespace in [&sender, &monitor] {
            namespace.sysctls(&[("ipv6/conf/default/disable_ipv6", "1")])?;
        }
        let wires: Vec<_> = (0..options.links).map(wire).collect();
        for wire in &wires {
            let ends = [
                End { namespace: &sender, interface: &wire.sender, mac: &wire.sender_mac },
                End { namespace: &monitor, interface: &wire.monitor, mac: &wire.monitor_mac },
            ];
            let PairOptions { queues, mtu, offloads, .. } = *options;
            Veth { ends, queues, mtu, offloads }.create()?;
        }
        Ok(Self { sender, monitor, wires })
    }
}

fn wire(number: usize) -> Wire {
    Wire {
        sender: format!("tx{number}"),
        sender_mac: format!("02:00:00:01:{number:02}:01"),
        monitor: format!("mon{number}"),
        monitor_mac: format!("02:00:00:01:{number:02}:02"),
    }
}
