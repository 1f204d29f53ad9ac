//! What the daemon is told to do: the TOML file, merged with the command line.
//!
//! [`sections`] holds the fields, their documentation and their defaults; [`document`] prints
//! both, so that `captured config --default` cannot differ from what the daemon reads. Values that
//! are text in the file have types of their own ([`values`], [`filter`]); what depends on more than
//! one value is checked in [`validate`]. Every error names the file, the line and the key, which
//! [`location`] finds.

mod document;
mod error;
mod filter;
mod load;
mod location;
mod merge;
mod reload;
mod sections;
mod validate;
mod values;

pub use document::default_text;
pub use error::{ConfigError, ValueError};
pub use filter::{Net, Ports, Protocol, Rule, compile as compile_filter, text as filter_text};
pub use merge::DEFAULT_PATH;
pub use reload::Reload;
pub use sections::{
    Config, Flows, Format, Http, Interface, MAX_SNAP_LENGTH, Mirror, Segments, Tap, Unmatched,
};
pub use values::Size;

pub(crate) use validate::check_interface_name;
