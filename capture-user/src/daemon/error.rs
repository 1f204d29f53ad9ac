//! Why the daemon could not be started, and with which exit code.

use std::{io, net::SocketAddr};

use crate::{
    config::ConfigError,
    control::SocketError,
    host::{interface::InterfaceError, requirements::RequirementError},
    kernel::{AttachError, FilterError, LoadError, TableError},
    segment,
};

/// `captured run` could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Command line or configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An interface does not exist or is not fit.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// Mirror mode would cut traffic.
    #[error("{0}")]
    Mirror(String),
    /// Permissions, kernel.
    #[error(transparent)]
    Requirement(#[from] RequirementError),
    /// The segment directory.
    #[error(transparent)]
    Segments(#[from] segment::Error),
    /// The HTTP address.
    #[error(
        "cannot listen on {address}: {source}; another program (perhaps another captured) has it: \
         choose another with --listen ADDR:PORT or http.listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The kernel's words.
        source: io::Error,
    },
    /// The eBPF programs.
    #[error("{}{hint}", crate::chain(&**source))]
    Load {
        /// What failed.
        source: Box<LoadError>,
        /// The probable cause, where there is one.
        hint: String,
    },
    /// The hooks.
    #[error("{}", crate::chain(&**.0))]
    Attach(Box<AttachError>),
    /// The maps.
    #[error("{}", crate::chain(&**.0))]
    Table(Box<TableError>),
    /// A filter.
    #[error("{interface}: {}", crate::chain(&**source))]
    Filter {
        /// The interface that it is for.
        interface: String,
        /// Why not.
        source: Box<FilterError>,
    },
    /// The control socket.
    #[error(transparent)]
    Control(#[from] SocketError),
    /// AF_XDP sockets.
    #[error("{}", crate::chain(.0))]
    Socket(#[from] crate::capture::mirror::MirrorError),
    /// Threads, signals, the event loop.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

impl From<AttachError> for RunError {
    fn from(error: AttachError) -> Self {
        Self::Attach(Box::new(error))
    }
}

impl From<TableError> for RunError {
    fn from(error: TableError) -> Self {
        Self::Table(Box::new(error))
    }
}

impl RunError {
    /// 2 for what the user asked for wrongly, 1 for what went wrong.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Interface(_) | Self::Mirror(_) | Self::Filter { .. } => 2,
            _ => 1,
        }
    }
}
