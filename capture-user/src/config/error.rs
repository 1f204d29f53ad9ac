//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::cli::GivenError;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key or value of the file is wrong.
    #[error("{}:{line}: {key}: {message}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Path of the key; lists are counted from 0, as in `interface[1].name`.
        key: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A value of the command line is wrong, alone or together with the file.
    #[error("command line: {option}: {message}")]
    CommandLine {
        /// The option, or what it sets.
        option: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// The expression of the command line is none.
    #[error(transparent)]
    Expression(#[from] GivenError),
    /// There is nothing to capture on.
    #[error(
        "no interface to capture on: give one with -i, or a section [[interface]] in the file \
         given with --config (or in {default})"
    )]
    NoInterface {
        /// The file that is read when neither is given.
        default: &'static str,
    },
}

/// Why a text is not a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a size.
    #[error("`{0}` is not a size: give bytes, or a number with a unit, such as \"256MiB\"")]
    Size(String),
    /// Not a duration.
    #[error("`{0}` is not a time: give numbers with units, such as \"90s\", \"5m\" or \"1h 30m\"")]
    Duration(String),
    /// Not an address and port.
    #[error("`{0}` is not ADDRESS:PORT, such as \"127.0.0.1:9411\" or \"[::1]:9411\"")]
    Listen(String),
    /// Not a mode.
    #[error("`{0}` is not a mode: allowed are tap and mirror")]
    Mode(String),
    /// Not the name of an interface.
    #[error("`{0}` cannot be the name of an interface: 1 to 15 bytes without `/`, `:` and blanks")]
    InterfaceName(String),
    /// Not a file size of tcpdump's -C.
    #[error(
        "`{0}` is not a file size: give millions of bytes, or a whole number with the suffix k, m \
         or g"
    )]
    FileSize(String),
    /// An interface with a suffix that is not a mode.
    #[error(
        "`{suffix}` is not a mode: write {name}:tap or {name}:mirror (an alias such as eth0:1 has \
         no frames of its own: name its interface)"
    )]
    InterfaceMode {
        /// Before the colon.
        name: String,
        /// Behind the colon.
        suffix: String,
    },
    /// A directory that cannot be one.
    #[error("`{0}` is not a directory for segments; writing to standard output is not supported")]
    Directory(String),
}
