//! `captured filter set`: another filter for the running daemon.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{FilterCommandError, show::list};
use crate::{
    cli::{GivenError, GivenFilter, print, values},
    client,
    config::DEFAULT_SOCKET,
    control::FilterRequest,
};

/// Options of `captured filter set`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").args(["words", "file", "trouble", "all"]).required(true)
    .multiple(true))]
pub struct SetArgs {
    /// Only on this interface, repeatable; without, on all that the daemon captures on.
    #[arg(short = 'i', long = "interface", value_name = "IF", value_parser = values::interface)]
    pub interfaces: Vec<String>,

    /// Capture everything.
    #[arg(long, conflicts_with_all = ["words", "file", "trouble"])]
    pub all: bool,

    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub control: PathBuf,

    /// The new filter.
    #[command(flatten)]
    pub filter: GivenFilter,
}

impl SetArgs {
    /// What the daemon is asked for.
    ///
    /// # Errors
    /// The expression is none.
    pub fn request(&self) -> Result<FilterRequest, GivenError> {
        Ok(FilterRequest {
            filter: self.filter.expression()?.unwrap_or_default().to_string(),
            trouble: self.filter.trouble.unwrap_or_default().to_string(),
            interfaces: self.interfaces.clone(),
        })
    }

    /// Asks for the change and shows the filters that are in force then.
    ///
    /// # Errors
    /// As [`FilterArgs::run`](super::FilterArgs::run).
    pub fn run(&self) -> Result<(), FilterCommandError> {
        let request = serde_json::to_string(&self.request()?)?;
        let answer = client::put(&self.control, "/v1/filters", request)?;
        print(&list(&answer)?)?;
        Ok(())
    }
}
