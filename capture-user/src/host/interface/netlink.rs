//! Questions to the kernel's rtnetlink, with a limit on how long an answer may take.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use rtnetlink::{
    Error, Handle,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressMessage},
        link::{LinkExtentMask, LinkMessage},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
};
use tokio::task::JoinHandle;

use super::{InterfaceError, Prefix};

/// An answer that the netlink library cannot decode never arrives: don't wait for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most routes that are looked at: a full Internet table need not be read to know that there is
/// one.
const MOST_ROUTES: usize = 16;

/// Interface names are shorter than this, in bytes (`IFNAMSIZ`).
const NAME_SIZE: usize = libc::IFNAMSIZ;

/// A netlink socket of the network namespace of the thread that opened it.
pub(super) struct Netlink {
    handle: Handle,
    _connection: AbortOnDrop,
}

/// The task that reads and writes a netlink socket; dropped, it closes the socket.
pub(super) struct AbortOnDrop(pub(super) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Netlink {
    /// Opens a socket. Must be called within a tokio runtime with I/O and time.
    pub(super) fn open() -> Result<Self, InterfaceError> {
        // Strict checking lets the kernel filter addresses and routes by interface.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()
            .map_err(|source| InterfaceError::Netlink { asked: "for a socket", source })?;
        Ok(Self { handle, _connection: AbortOnDrop(tokio::spawn(connection)) })
    }

    /// The interface of this name, or of this alternative name if it is short enough.
    pub(super) async fn link(&self, name: &str) -> Result<Option<LinkMessage>, InterfaceError> {
        if name.is_empty() || name.len() >= NAME_SIZE || name.contains('\0') {
            return Ok(None);
        }
        let request = self.handle.link().get().match_name(name);
        let answer = answer(async { request.execute().try_next().await }).await;
        none_if_no_device(answer, "about an interface")
    }

    /// The name of the interface with this index.
    pub(super) async fn link_of_index(
        &self,
        index: u32,
    ) -> Result<Option<LinkMessage>, InterfaceError> {
        let request = self.handle.link().get().match_index(index);
        let answer = answer(async { request.execute().try_next().await }).await;
        none_if_no_device(answer, "about an interface")
    }

    /// All interfaces.
    pub(super) async fn links(&self) -> Result<Vec<LinkMessage>, InterfaceError> {
        let request = self
            .handle
            .link()
            .get()
            .set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]);
        answer(request.execute().try_collect()).await.map_err(failed("for the interfaces"))
    }

    /// The addresses of an interface.
    pub(super) async fn addresses(&self, index: u32) -> Result<Vec<Prefix>, InterfaceError> {
        let mut request = self.handle.address().get().set_link_index_filter(index);
        request.message_mut().header.index = index;
        let messages: Vec<AddressMessage> = answer(request.execute().try_collect())
            .await
            .map_err(failed("for the addresses of an interface"))?;
        Ok(messages.iter().filter_map(address).collect())
    }
}

/// Destinations of the routes through an interface, without those that the kernel makes for every
/// interface. Not all if there are many.
pub(super) async fn routes(index: u32) -> Result<Vec<Prefix>, InterfaceError> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        // A socket of its own: closed early, it ends the kernel's listing of a large table.
        let netlink = Netlink::open()?;
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.attributes.push(RouteAttribute::Oif(index));
        let mut stream = std::pin::pin!(netlink.handle.route().get(message).execute());
        let asked = "for the routes of an interface";
        let limit = routes.len() + MOST_ROUTES;
        while routes.len() < limit {
            match answer(stream.try_next()).await {
                Ok(Some(route)) if leads_through(&route, index) => {
                    let destination = destination(&route);
                    if !is_automatic(destination) && !routes.contains(&destination) {
                        routes.push(destination);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                // No IPv6 in this kernel.
                Err(error) if is(&error, libc::EOPNOTSUPP) || is(&error, libc::EAFNOSUPPORT) => {
                    break;
                }
                Err(error) => return Err(failed(asked)(error)),
            }
        }
    }
    Ok(routes)
}

async fn answer<T>(question: impl Future<Output = Result<T, Error>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Error::NetlinkError(message))) => Err(message.to_io()),
        Ok(Err(error)) => Err(io::Error::other(error.to_string())),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer that could be read within {} s", PATIENCE.as_secs()),
        )),
    }
}

fn is(error: &io::Error, code: i32) -> bool {
    error.raw_os_error() == Some(code)
}

fn failed(asked: &'static str) -> impl Fn(io::Error) -> InterfaceError {
    move |source| InterfaceError::Netlink { asked, source }
}

fn none_if_no_device<T>(
    answer: io::Result<Option<T>>,
    asked: &'static str,
) -> Result<Option<T>, InterfaceError> {
    match answer {
        Err(error) if is(&error, libc::ENODEV) => Ok(None),
        other => other.map_err(failed(asked)),
    }
}

/// The host's own address: on a point-to-point link `Address` is the other side's.
fn address(message: &AddressMessage) -> Option<Prefix> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => {
                found = Some(*address);
                break;
            }
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    Some(Prefix { address: found?, length: message.header.prefix_len })
}

fn leads_through(route: &RouteMessage, index: u32) -> bool {
    // Local, broadcast, anycast and multicast routes come with an address or with being up.
    route.header.kind == RouteType::Unicast
        && route.attributes.iter().any(|attribute| match attribute {
            RouteAttribute::Oif(through) => *through == index,
            RouteAttribute::MultiPath(hops) => hops.iter().any(|hop| hop.interface_index == index),
            _ => false,
        })
}

/// The default route has no destination attribute.
fn destination(route: &RouteMessage) -> Prefix {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    let any = match route.header.address_family {
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Prefix { address: address.unwrap_or(any), length: route.header.destination_prefix_length }
}

/// Made by the kernel for each interface that is up, or by nobody's wish to use it.
fn is_automatic(prefix: Prefix) -> bool {
    prefix.is_link_local() || prefix.address.is_multicast()
}
