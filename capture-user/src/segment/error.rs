//! Why the segment directory cannot be used.

use std::{io, path::PathBuf};

/// Why the segment directory cannot be used. Only start-up fails with these: once the daemon runs,
/// what cannot be written is counted as lost.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is missing and could not be made.
    #[error(
        "cannot create the segment directory {path}: {source}; create it for the daemon's user, \
         or name another one"
    )]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else in its place.
    #[error("the segment directory {path} is not a directory; remove the file or name another one")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Files cannot be created in it.
    #[error(
        "cannot write to the segment directory {path}: {source}; give the daemon's user write \
         permission, or name another directory"
    )]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon writes to it.
    #[error(
        "the segment directory {path} is in use by another captured{}; stop that one, or give \
         this one a directory of its own",
        .holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Process id in the lock file, if there is one.
        holder: Option<u32>,
    },
    /// The directory cannot be listed.
    #[error(
        "cannot list the segment directory {path}: {source}; give the daemon's user read permission"
    )]
    ReadDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The publisher's thread could not be started.
    #[error(
        "cannot start the thread that publishes segments: {source}; raise the limit on threads"
    )]
    StartThread {
        /// What the system said.
        source: io::Error,
    },
}
