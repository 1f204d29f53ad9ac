//! The daemon's Unix socket.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, MetadataExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use nix::sys::{
    socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
    stat::{Mode, fchmod},
};

/// Most bytes of a socket's path: `sun_path` has 108, with the zero at the end.
const MAX_PATH: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// Why the daemon has no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path cannot be one of a socket.
    #[error("control socket {}: the path {message}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The directory is missing.
    #[error(
        "control socket {}: its directory does not exist: make it, or choose another path with \
         --control PATH or control.socket", path.display()
    )]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// Another program has it.
    #[error(
        "control socket {}: another program listens there, probably another captured: end that one, \
         or choose another path with --control PATH or control.socket", path.display()
    )]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else lies there.
    #[error(
        "control socket {}: there is something else than a socket: choose another path with \
         --control PATH or control.socket", path.display()
    )]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error(
        "control socket {}: {source}; choose another path with --control PATH or control.socket",
        path.display()
    )]
    System {
        /// The path.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// Can this be the path of a socket? The message says what is wrong otherwise.
pub(crate) fn check_socket_path(path: &Path) -> Result<(), String> {
    let bytes = path.as_os_str().as_bytes();
    match bytes.len() {
        0 => Err("is empty: give the path of a Unix socket".to_owned()),
        length if length > MAX_PATH => {
            Err(format!("has {length} bytes: allowed are {MAX_PATH}, as for all Unix sockets"))
        }
        _ if bytes.contains(&0) => Err("has a zero byte in it".to_owned()),
        _ => Ok(()),
    }
}

/// A socket that listens, and its file, which is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode: the file may be another one's by then.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Listens at a path, for its own user only. A file that an ended program left there is
    /// replaced.
    ///
    /// # Errors
    /// The path is not fit, or somebody listens there.
    pub fn listen(path: &Path) -> Result<(Self, UnixListener), SocketError> {
        let owned = || path.to_owned();
        check_socket_path(path).map_err(|message| SocketError::Path { path: owned(), message })?;
        let system = |source| SocketError::System { path: owned(), source };
        let listener = match bound(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bound(path).map_err(system)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SocketError::Directory { path: owned() });
            }
            listener => listener.map_err(system)?,
        };
        let identity = identity(path).map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        Ok((Self { path: owned(), identity }, listener))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("{}: cannot be removed: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// The socket gets its mode before its file is made, so that nobody else can ever connect.
fn bound(path: &Path) -> io::Result<UnixListener> {
    let socket: OwnedFd =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(socket.as_raw_fd(), &UnixAddr::new::<OsStr>(path.as_os_str())?)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket.into())
}

/// Removes a socket at which nobody listens.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let owned = || path.to_owned();
    let system = |source| SocketError::System { path: owned(), source };
    let file = match fs::symlink_metadata(path) {
        // Removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(system)?,
    };
    if !file.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            log::info!("{}: replaced, nobody listened there", path.display());
            fs::remove_file(path).map_err(system)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Also when its queue is full: somebody is there.
        _ => Err(SocketError::InUse { path: owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn refused(path: &Path) -> String {
        ControlSocket::listen(path).unwrap_err().to_string()
    }

    #[test]
    fn only_its_user_connects_and_nothing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.sock");
        let (socket, _listener) = ControlSocket::listen(&path).unwrap();
        assert_eq!(socket.path().metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_an_ended_program_left_is_replaced_and_what_is_used_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        let (socket, listener) = ControlSocket::listen(&path).unwrap();
        let text = refused(&path);
        assert!(text.contains("another program listens") && text.contains("--control"), "{text}");
        UnixStream::connect(&path).unwrap();

        // Another one's file is not removed.
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop((socket, listener));
        UnixStream::connect(&path).unwrap();
        drop(other);
    }

    #[test]
    fn unfit_paths_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/c.sock");
        assert!(refused(&missing).contains("directory does not exist"), "{}", refused(&missing));
        let file = directory.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(refused(&file).contains("something else than a socket"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert!(refused(&file.join("c.sock")).contains("Not a directory"));
        let longest = |length: usize| {
            let rest = length - directory.path().as_os_str().len() - 1;
            directory.path().join("x".repeat(rest))
        };
        assert!(refused(&longest(108)).contains("has 108 bytes: allowed are 107"));
        ControlSocket::listen(&longest(107)).unwrap();
    }
}
