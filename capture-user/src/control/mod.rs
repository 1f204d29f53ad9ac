//! The filters of a running daemon, and how they are changed: through a Unix socket, which only its
//! own user can reach, never over the network.

mod change;
mod socket;

pub use change::{Change, ChangeError, Changes, FilterRequest, FilterView};
pub use socket::{ControlSocket, SocketError};

pub(crate) use socket::check_socket_path;
