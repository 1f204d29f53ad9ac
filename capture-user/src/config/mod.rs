//! What the daemon is told to do: the TOML file, merged with the command line.
//!
//! [`sections`] holds the fields, their documentation and their defaults; [`document`] prints
//! both, so that `captured config --default` cannot differ from what the daemon reads. Values that
//! are text in the file have types of their own ([`values`], [`Filter`](crate::filter::Filter)); what
//! depends on more than one value is checked in [`validate`]. Every error names the file, the line
//! and the key, which [`location`] finds.

mod document;
mod error;
mod load;
mod location;
mod merge;
mod reload;
mod sections;
mod validate;
mod values;

pub use document::default_text;
pub use error::{ConfigError, ValueError};
pub use merge::DEFAULT_PATH;
pub use reload::Reload;
pub use sections::{
    Config, Control, DEFAULT_SOCKET, Flows, Format, Http, Interface, MAX_SNAP_LENGTH, Mirror,
    Segments, Tap,
};
pub use values::Size;

pub(crate) use validate::check_interface_name;
