//! `captured filter show`: the filters that are in force.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;

use super::FilterCommandError;
use crate::{cli::print, client, config::DEFAULT_SOCKET, control::FilterView};

/// Options of `captured filter show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Print the daemon's answer as it is; docs/api.md describes it.
    #[arg(long)]
    pub json: bool,

    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub control: PathBuf,
}

impl ShowArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// As [`FilterArgs::run`](super::FilterArgs::run).
    pub fn run(&self) -> Result<(), FilterCommandError> {
        let answer = client::get_control(&self.control, "/v1/filters")?;
        let text = if self.json { format!("{answer}\n") } else { list(&answer)? };
        print(&text)?;
        Ok(())
    }
}

/// The daemon's answer for people, a line for each interface.
pub(super) fn list(answer: &str) -> Result<String, serde_json::Error> {
    let filters: Vec<FilterView> = serde_json::from_str(answer)?;
    let mut text = String::new();
    for FilterView { interface, filter, trouble } in filters {
        let filter = if filter.is_empty() { "(everything)" } else { &filter };
        let _ = write!(text, "{interface}: {filter}");
        let _ = if trouble.is_empty() {
            writeln!(text)
        } else {
            writeln!(text, ", of conversations with: {trouble}")
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_has_a_line() {
        let text = list(
            r#"[{"interface":"a","filter":"","trouble":""},
                {"interface":"b","filter":"icmp","trouble":"reset","new":1}]"#,
        );
        assert_eq!(text.unwrap(), "a: (everything)\nb: icmp, of conversations with: reset\n");
        assert!(list("{}").is_err());
    }
}
