//! What an interface is, and what the host uses it for.

mod error;
mod ethtool;
mod netlink;
mod prefix;
mod queues;
mod refusal;
#[cfg(test)]
mod tests;
mod tracker;
mod watch;

use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Prop,
};

pub use error::InterfaceError;
pub use prefix::Prefix;
pub use tracker::{Known, LinkEvent, LinkEventKind, Seen};
pub use watch::Watch;

use netlink::Netlink;

/// An interface as it was when [`Facts::read`] asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's name for it; another than was asked for if that was an alternative name.
    pub name: String,
    /// Its index: another one if the interface is deleted and made again.
    pub index: u32,
    /// Most bytes of a frame's payload.
    pub mtu: u32,
    /// Receive queues, at least 1: mirror mode needs a socket for each.
    pub queues: u32,
    /// The driver takes VLAN tags out of the frames that it receives, so that XDP does not see them.
    pub strips_vlan_tags: bool,
    /// Administratively up (`IFF_UP`). Says nothing of the carrier.
    pub up: bool,
    /// The loopback interface: its frames have Ethernet headers, but its driver has no XDP, so
    /// that programs are attached in generic mode only.
    pub loopback: bool,
    /// The bridge, bond, team or VRF that it is a port of.
    pub master: Option<Master>,
    /// Addresses, IPv6 link-local ones left out.
    pub addresses: Vec<Prefix>,
    /// IPv6 link-local addresses: the kernel gives one to every interface that is up.
    pub link_local: Vec<Prefix>,
    /// Destinations of the routes through it, without the link-local and multicast ones that the
    /// kernel makes for every interface; the first few if there are many.
    pub routes: Vec<Prefix>,
    /// Interfaces stacked on it (VLAN, macvlan, ipvlan, MACsec), whose frames go through it.
    pub uppers: Vec<String>,
}

/// What an interface is a port of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Name.
    pub name: String,
    /// `bridge`, `bond`, `team`, `vrf`, …; `interface` if the kernel doesn't tell.
    pub kind: String,
}

impl Facts {
    /// Asks the kernel about an interface, by name or alternative name, in the network namespace
    /// of the calling thread. Needs a tokio runtime with I/O and time, but no privilege.
    ///
    /// # Errors
    /// No such interface; not an Ethernet one; or the kernel gave no usable answer.
    pub async fn read(name: &str) -> Result<Self, InterfaceError> {
        let netlink = Netlink::open()?;
        let links = netlink.links().await?;
        let link = find(&netlink, name, &links).await?;
        let index = link.header.index;
        let loopback = check_link_type(name, &link)?;
        let (link_local, addresses) =
            netlink.addresses(index).await?.into_iter().partition(Prefix::is_link_local);
        let name = link_name(&link).unwrap_or(name).to_owned();
        Ok(Self {
            index,
            mtu: mtu(&link),
            queues: queues::receive_queues(&name, index),
            strips_vlan_tags: ethtool::strips_vlan_tags(&name).unwrap_or(false),
            up: is_up(&link),
            loopback,
            master: master(&netlink, &link).await?,
            addresses,
            link_local,
            routes: netlink::routes(index).await?,
            uppers: uppers(&links, index),
            name,
        })
    }

    /// Netmask of its first IPv4 address (255.255.255.0 is 0xffff_ff00), for filters such as `ip
    /// broadcast`; 0 if it has none.
    #[must_use]
    pub fn netmask(&self) -> u32 {
        let first = self.addresses.iter().find(|prefix| prefix.address.is_ipv4());
        let host_bits = first.map_or(32, |prefix| 32_u32.saturating_sub(prefix.length.into()));
        u32::MAX.checked_shl(host_bits).unwrap_or(0)
    }

    /// What [`Watch::start`] compares the present with.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { name: self.name.clone(), seen: Some(Seen { ifindex: self.index, up: self.up }) }
    }
}

async fn find(
    netlink: &Netlink,
    name: &str,
    links: &[LinkMessage],
) -> Result<LinkMessage, InterfaceError> {
    // By its name first: a listing that the kernel was changing meanwhile may miss one.
    if let Some(link) = netlink.link(name).await? {
        return Ok(link);
    }
    let by_other_name = links.iter().find(|link| {
        attributes(link, |attribute| match attribute {
            LinkAttribute::PropList(properties) => Some(properties),
            _ => None,
        })
        .is_some_and(|properties| properties.contains(&Prop::AltIfName(name.to_owned())))
    });
    by_other_name.cloned().ok_or_else(|| InterfaceError::Unknown {
        name: name.to_owned(),
        present: links.iter().filter_map(link_name).map(str::to_owned).collect(),
    })
}

/// Refuses what has no Ethernet header; tells whether it is the loopback interface.
fn check_link_type(name: &str, link: &LinkMessage) -> Result<bool, InterfaceError> {
    match link.header.link_layer_type {
        LinkLayerType::Ether => Ok(false),
        LinkLayerType::Loopback => Ok(true),
        other => Err(InterfaceError::NotEthernet {
            name: name.to_owned(),
            link_type: u16::from(other),
            kind: link_kind(link).map(InfoKind::to_string),
        }),
    }
}

async fn master(netlink: &Netlink, link: &LinkMessage) -> Result<Option<Master>, InterfaceError> {
    let index = attributes(link, |attribute| match attribute {
        LinkAttribute::Controller(index) if *index != 0 => Some(*index),
        _ => None,
    });
    let Some(index) = index else { return Ok(None) };
    let master = netlink.link_of_index(index).await?;
    let kind = master.as_ref().and_then(link_kind).map(InfoKind::to_string);
    Ok(Some(Master {
        name: master.as_ref().and_then(link_name).map_or_else(|| index.to_string(), str::to_owned),
        kind: kind.unwrap_or_else(|| "interface".to_owned()),
    }))
}

/// Interfaces of this namespace that send and receive through another.
fn uppers(links: &[LinkMessage], index: u32) -> Vec<String> {
    // IFLA_LINK means "on top of" for these kinds only: for a veth it names the peer.
    let stacked = |link: &&LinkMessage| {
        matches!(
            link_kind(link),
            Some(
                InfoKind::Vlan
                    | InfoKind::MacVlan
                    | InfoKind::MacVtap
                    | InfoKind::IpVlan
                    | InfoKind::IpVtap
                    | InfoKind::MacSec
            )
        )
    };
    let lower = |link: &LinkMessage| {
        attributes(link, |attribute| match attribute {
            LinkAttribute::Link(lower) => Some(*lower),
            _ => None,
        })
    };
    // With a namespace id, the index is one of another namespace.
    let elsewhere = |link: &LinkMessage| {
        link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::LinkNetNsId(_)))
    };
    links
        .iter()
        .filter(stacked)
        .filter(|link| lower(link) == Some(index) && !elsewhere(link))
        .filter_map(link_name)
        .map(str::to_owned)
        .collect()
}

fn attributes<'a, T>(
    link: &'a LinkMessage,
    pick: impl FnMut(&'a LinkAttribute) -> Option<T>,
) -> Option<T> {
    link.attributes.iter().find_map(pick)
}

fn link_name(link: &LinkMessage) -> Option<&str> {
    attributes(link, |attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn link_kind(link: &LinkMessage) -> Option<&InfoKind> {
    attributes(link, |attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        }),
        _ => None,
    })
}

fn mtu(link: &LinkMessage) -> u32 {
    attributes(link, |attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
    .unwrap_or_default()
}

fn is_up(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up)
}
