//! `captured filter`: filters of the running daemon.

mod check;
mod set;
mod show;

use std::io;

use clap::{Args, Subcommand};

pub use check::CheckArgs;
pub use set::SetArgs;
pub use show::ShowArgs;

use super::{EXIT_FAILURE, EXIT_USAGE, GivenError};
use crate::{client::ClientError, filter::explain::ExplainError, kernel::FilterError};

/// What to do with filters.
#[derive(Clone, Debug, Args)]
pub struct FilterArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FilterCommand,
}

/// What to do with filters.
#[derive(Clone, Debug, Subcommand)]
pub enum FilterCommand {
    /// Replace the filter of the running daemon, from one frame to the next. It holds until the
    /// daemon is started again, or reads its configuration again (SIGHUP).
    Set(SetArgs),
    /// Show the filters that are in force.
    Show(ShowArgs),
    /// Show what an expression becomes, what it costs, and which frames of a file it matches. Asks
    /// no daemon and attaches nothing.
    Check(CheckArgs),
}

/// What went wrong with `captured filter`.
#[derive(Debug, thiserror::Error)]
pub enum FilterCommandError {
    /// The expression is none.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// The daemon gave no answer, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its answer is not what this version expects.
    #[error(
        "the daemon's answer is not understood: {0}\n\
         Is the daemon of another version than this command?"
    )]
    Answer(#[from] serde_json::Error),
    /// The kernel does not take it.
    #[error("{}", crate::chain(.0))]
    Filter(#[from] FilterError),
    /// The kernel does not run it.
    #[error("cannot run the filter on a sample: {0}")]
    Run(#[source] io::Error),
    /// The file cannot be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The answer could not be shown.
    #[error("cannot write to the standard output: {0}")]
    Output(#[from] io::Error),
}

impl FilterCommandError {
    /// 2 for what the user asked for wrongly, 1 for what went wrong.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Given(_) | Self::Filter(_) => EXIT_USAGE,
            Self::Client(ClientError::Refused { status: 400..=499, .. }) => EXIT_USAGE,
            _ => EXIT_FAILURE,
        }
    }
}

impl FilterArgs {
    /// Does it.
    ///
    /// # Errors
    /// The expression is none; the daemon does not answer, or refuses; or the standard output cannot
    /// be written to.
    pub fn run(&self) -> Result<(), FilterCommandError> {
        match &self.command {
            FilterCommand::Set(args) => args.run(),
            FilterCommand::Show(args) => args.run(),
            FilterCommand::Check(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn filter(args: &[&str]) -> Result<FilterCommand, clap::Error> {
        let cli = Cli::try_parse_from(["captured", "filter"].iter().chain(args))?;
        match cli.command {
            Command::Filter(args) => Ok(args.command),
            other => panic!("{other:?}"),
        }
    }

    fn set(args: &[&str]) -> SetArgs {
        match filter(args).unwrap() {
            FilterCommand::Set(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_set_is_said() {
        let args = set(&["set", "-i", "gw0", "-i", "gw1", "tcp", "port", "80", "--control", "/c"]);
        let request = args.request().unwrap();
        assert_eq!((request.filter.as_str(), request.trouble.as_str()), ("tcp port 80", ""));
        assert_eq!(request.interfaces, ["gw0", "gw1"]);
        assert_eq!(args.control.as_os_str(), "/c");
        let request = set(&["set", "--trouble", "reset"]).request().unwrap();
        assert_eq!((request.filter.as_str(), request.trouble.as_str()), ("", "reset"));
        let request = set(&["set", "--all"]).request().unwrap();
        assert_eq!((request.filter.as_str(), request.trouble.as_str()), ("", ""));
        for args in [
            &["set"][..],
            &["set", "-i", "gw0"],
            &["set", "--all", "tcp"],
            &["set", "--all", "--trouble", "reset"],
            &["set", "-F", "file", "tcp"],
            &["set", "--trouble", "rst"],
            &["set", "-i", "a/b", "tcp"],
        ] {
            assert_eq!(filter(args).unwrap_err().exit_code(), i32::from(EXIT_USAGE), "{args:?}");
        }
    }

    #[test]
    fn mistakes_exit_with_2_and_a_missing_daemon_with_1() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("none.sock");
        let socket = socket.to_str().unwrap();
        let error = set(&["set", "tcp porrt 80", "--control", socket]).run().unwrap_err();
        assert_eq!(error.exit_code(), EXIT_USAGE);
        let error = set(&["set", "tcp port 80", "--control", socket]).run().unwrap_err();
        assert_eq!(error.exit_code(), EXIT_FAILURE);
        let text = error.to_string();
        assert!(text.contains(socket) && text.contains("captured run"), "{text}");
    }
}
