//! Interfaces that come, go, and are set up and down.

use std::{io, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};
use log::warn;
use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{AddressFamily, RouteNetlinkMessage, link::LinkMessage},
    sys::AsyncSocket as _,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::{
    InterfaceError, Known, LinkEvent, Seen, is_up, link_name,
    netlink::{AbortOnDrop, Netlink},
    tracker::Tracker,
};

/// How often the state is asked for though nothing was heard: a message that the netlink library
/// cannot decode is lost without a trace.
const RESYNC_PERIOD: Duration = Duration::from_secs(30);
/// Pause after a failure of netlink itself.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Receive buffer of the subscription, in bytes; the kernel may grant less.
const RECEIVE_BUFFER: libc::c_int = 1 << 20;

/// Follows interfaces by name, through deletion and re-creation, in the network namespace of the
/// thread that started it.
///
/// Built on the kernel's link notifications. If the kernel drops some (`ENOBUFS`), or the socket
/// fails, the present state is asked for, and [`next`](Self::next) yields the difference: what
/// was undone meanwhile goes unnoticed, but the events always add up to the present.
pub struct Watch {
    tracker: Tracker,
    subscription: Option<Subscription>,
    receive_buffer: libc::c_int,
    stale: bool,
    period: Interval,
    overruns: u64,
}

type RouteMessage = NetlinkMessage<RouteNetlinkMessage>;

struct Subscription {
    messages: BoxStream<'static, RouteMessage>,
    _connection: AbortOnDrop,
}

impl Subscription {
    fn open(receive_buffer: libc::c_int) -> io::Result<Self> {
        let (mut connection, _, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
        connection.socket_mut().socket_mut().set_rx_buf_sz(receive_buffer)?;
        let connection = AbortOnDrop(tokio::spawn(connection));
        Ok(Self {
            messages: messages.map(|(message, _)| message).fuse().boxed(),
            _connection: connection,
        })
    }

    /// Throws away what has arrived so far.
    fn drain(&mut self) {
        while let Some(Some(_)) = self.messages.next().now_or_never() {}
    }
}

impl Watch {
    /// Starts to watch. The first events are the differences to what the caller knows, so that
    /// nothing is missed between [`Facts::read`](super::Facts::read) and this call.
    /// Needs a tokio runtime with I/O and time, but no privilege.
    ///
    /// # Errors
    /// No netlink socket could be opened.
    pub fn start(known: impl IntoIterator<Item = Known>) -> Result<Self, InterfaceError> {
        Self::with_receive_buffer(known, RECEIVE_BUFFER)
    }

    pub(super) fn with_receive_buffer(
        known: impl IntoIterator<Item = Known>,
        receive_buffer: libc::c_int,
    ) -> Result<Self, InterfaceError> {
        let subscription = Subscription::open(receive_buffer).map_err(|source| {
            InterfaceError::Netlink { asked: "for notifications of interfaces", source }
        })?;
        let mut period = interval_at(Instant::now() + RESYNC_PERIOD, RESYNC_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            tracker: Tracker::new(known),
            subscription: Some(subscription),
            receive_buffer,
            stale: true,
            period,
            overruns: 0,
        })
    }

    /// The next event. Waits for one as long as it takes, through failures of netlink, which it
    /// logs. May be dropped before it is ready without losing an event.
    pub async fn next(&mut self) -> LinkEvent {
        loop {
            if let Some(event) = self.tracker.next() {
                return event;
            }
            if self.stale {
                if let Err(error) = self.resync().await {
                    warn!("interfaces are not being watched, will try again: {error}");
                    self.subscription = None;
                    sleep(RETRY_PAUSE).await;
                }
                continue;
            }
            let message = async {
                match &mut self.subscription {
                    Some(subscription) => subscription.messages.next().await,
                    None => None,
                }
            };
            tokio::select! {
                message = message => match message {
                    Some(message) => self.take(message),
                    None => {
                        self.subscription = None;
                        self.stale = true;
                    }
                },
                _ = self.period.tick() => self.stale = true,
            }
        }
    }

    /// How often the kernel said that it had dropped notifications.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    fn take(&mut self, message: RouteMessage) {
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))
                if is_about_the_link(&link) =>
            {
                let now = Seen { ifindex: link.header.index, up: is_up(&link) };
                self.tracker.changed(link_name(&link), now);
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))
                if is_about_the_link(&link) =>
            {
                self.tracker.gone(link.header.index);
            }
            NetlinkPayload::Overrun(_) => {
                self.overruns += 1;
                self.stale = true;
            }
            _ => {}
        }
    }

    /// Asks for the state of each watched interface. Nothing is taken over before all answers are
    /// there, so that it may be cancelled at any point and done again.
    async fn resync(&mut self) -> Result<(), InterfaceError> {
        // What has been notified before is older than the answers. What is notified meanwhile may
        // be, too; then the events show the interface's history once more, up to the present.
        if let Some(subscription) = &mut self.subscription {
            subscription.drain();
        } else {
            let subscription = Subscription::open(self.receive_buffer).map_err(|source| {
                InterfaceError::Netlink { asked: "for notifications of interfaces", source }
            })?;
            self.subscription = Some(subscription);
        }
        // A socket of its own: answers cannot be lost to a flood of notifications. And by name,
        // one by one: a listing may miss an interface while others come and go.
        let netlink = Netlink::open()?;
        let mut answers = Vec::new();
        for name in self.tracker.names() {
            let link = netlink.link(name).await?;
            let seen = link
                .filter(|link| link_name(link) == Some(name))
                .map(|link| Seen { ifindex: link.header.index, up: is_up(&link) });
            answers.push((name.to_owned(), seen));
        }
        for (name, seen) in answers {
            self.tracker.set(&name, seen);
        }
        self.stale = false;
        Ok(())
    }
}

/// Bridges send link messages of their own family about their ports; a deleted one of these means
/// that the port left the bridge, not that it is gone.
fn is_about_the_link(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
}
