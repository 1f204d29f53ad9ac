//! A change of filters, on its way from whoever asks to the daemon's control loop.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::{config::Interface, filter::Filter};

/// Changes that wait for the control loop; whoever asks waits for room.
const WAITING: usize = 8;

/// The filter of an interface, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FilterView {
    /// Name of the interface.
    pub interface: String,
    /// Expression of pcap-filter(7); empty: everything.
    pub filter: String,
    /// Names of troubles with commas between them; empty: of all conversations.
    pub trouble: String,
}

impl FilterView {
    /// Of an interface's name and filter.
    #[must_use]
    pub fn new(interface: &str, filter: &Filter) -> Self {
        Self {
            interface: interface.to_owned(),
            filter: filter.expression.to_string(),
            trouble: filter.trouble.to_string(),
        }
    }
}

impl From<&Interface> for FilterView {
    fn from(interface: &Interface) -> Self {
        Self::new(&interface.name, &interface.filter())
    }
}

/// What is asked for, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FilterRequest {
    /// Expression of pcap-filter(7); empty: everything.
    pub filter: String,
    /// Names of troubles with commas between them; empty: of all conversations.
    #[serde(default)]
    pub trouble: String,
    /// Names of interfaces; none: all.
    #[serde(default)]
    pub interfaces: Vec<String>,
}

/// Why filters were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The daemon has no such interface.
    #[error("`{name}` is not captured on: there are {}", present.join(", "))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        present: Vec<String>,
    },
    /// The filter cannot be loaded; all interfaces have the filters that they had.
    #[error("{interface}: {reason}; no filter was changed")]
    Refused {
        /// The interface that it was loaded for.
        interface: String,
        /// Why not.
        reason: String,
    },
    /// It could be loaded, but not be put in place everywhere.
    #[error("{interface}: {reason}; but these have the new filter: {}", changed.join(", "))]
    Partly {
        /// The interface that it was loaded for.
        interface: String,
        /// Why not.
        reason: String,
        /// The interfaces that have the new filter.
        changed: Vec<String>,
    },
    /// The daemon stops.
    #[error("the daemon is stopping")]
    Stopping,
}

/// A change that the control loop is asked for.
#[derive(Debug)]
pub struct Change {
    /// The new filter.
    pub filter: Filter,
    /// Names of interfaces; none: all.
    pub interfaces: Vec<String>,
    /// Takes the filters of all interfaces as they are then.
    pub answer: oneshot::Sender<Result<Vec<FilterView>, ChangeError>>,
}

/// The way to the control loop.
#[derive(Clone, Debug)]
pub struct Changes(mpsc::Sender<Change>);

impl Changes {
    /// And its end there.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Change>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Asks for a change and waits until it is in force, or refused. A caller that waits no longer
    /// does not undo it.
    ///
    /// # Errors
    /// It is not in force, at least not everywhere.
    pub async fn ask(
        &self,
        filter: Filter,
        interfaces: Vec<String>,
    ) -> Result<Vec<FilterView>, ChangeError> {
        let (answer, answered) = oneshot::channel();
        let change = Change { filter, interfaces, answer };
        self.0.send(change).await.map_err(|_| ChangeError::Stopping)?;
        answered.await.unwrap_or(Err(ChangeError::Stopping))
    }
}
