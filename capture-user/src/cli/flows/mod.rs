//! `captured flows`: what the running daemon knows of conversations, for people.

mod table;
mod terminal;

use std::{
    io::{self, IsTerminal as _, Write},
    thread,
    time::Duration,
};

use clap::Args;

use crate::{
    client::{self, ClientError, DEFAULT_URL, DaemonUrl, Target},
    flows::{DEFAULT_LIMIT, FlowFilter, FlowQuery, FlowsView, MAX_LIMIT, SortBy},
};

/// Pause of `--watch` without a number.
const WATCH: &str = "2";
/// Longest pause of `--watch`: a day.
const LONGEST_WATCH: u64 = 86_400;
/// Lines around the rows of the table: heading, legend, and one for the prompt.
const OTHER_LINES: usize = 4;
/// Clears the screen and goes to its upper left corner (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Options of `captured flows`.
#[derive(Clone, Debug, Args)]
pub struct FlowsArgs {
    /// Only conversations of this host, and with this port: an address, such as 192.0.2.1,
    /// 192.0.2.1:80, 2001:db8::1 or [2001:db8::1]:80. Each may be that of either end, as with tcpdump's
    /// `host` and `port`.
    #[arg(value_name = "HOST[:PORT]")]
    pub target: Option<Target>,

    /// What has most of it comes first.
    #[arg(long, value_enum, default_value_t)]
    pub sort: SortBy,

    /// Show at most this many.
    #[arg(long, value_name = "COUNT", default_value_t = DEFAULT_LIMIT, value_parser = limit)]
    pub limit: usize,

    /// Print the daemon's answer as it is; docs/api.md describes it.
    #[arg(long)]
    pub json: bool,

    /// Ask again and again, with a pause of so many seconds. On a terminal, as many as fit are shown.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = WATCH,
        value_parser = pause)]
    pub watch: Option<u64>,

    /// The daemon: where its HTTP server listens.
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub url: DaemonUrl,
}

/// What went wrong with `captured flows`.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// The daemon gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its answer is not what this version expects.
    #[error(
        "the answer of {url} is not understood: {source}\n\
         Is the daemon of another version than this command? --json shows the answer as it is"
    )]
    Answer {
        /// The daemon.
        url: String,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// The answer could not be shown.
    #[error("cannot write to the standard output: {0}")]
    Output(#[from] io::Error),
}

impl FlowsArgs {
    /// Asks and shows, once or until somebody stops it. A reader that has seen enough (`| head`) is no
    /// error.
    ///
    /// # Errors
    /// The daemon does not answer, or the standard output cannot be written to.
    pub fn run(&self) -> Result<(), FlowsError> {
        let is_terminal = io::stdout().is_terminal();
        loop {
            if !print(&self.text(is_terminal)?)? {
                return Ok(());
            }
            let Some(seconds) = self.watch else { return Ok(()) };
            thread::sleep(Duration::from_secs(seconds));
        }
    }

    /// The question.
    #[must_use]
    pub fn query(&self) -> FlowQuery {
        let filter = FlowFilter {
            host: self.target.map(|target| target.host),
            port: self.target.and_then(|target| target.port),
        };
        FlowQuery { filter, sort: self.sort, limit: self.limit }
    }

    fn text(&self, is_terminal: bool) -> Result<String, FlowsError> {
        let is_screen = is_terminal && self.watch.is_some() && !self.json;
        let mut query = self.query();
        if let Some(rows) = is_screen.then(terminal::rows).flatten() {
            query.limit = query.limit.min(rows.saturating_sub(OTHER_LINES).max(1));
        }
        let url = self.url.to_string();
        let answer = client::get(&url, &query.path())?;
        if self.json {
            return Ok(answer);
        }
        let view: FlowsView =
            serde_json::from_str(&answer).map_err(|source| FlowsError::Answer { url, source })?;
        let width = if is_screen { terminal::columns() } else { None };
        let table = table::render(&view, width);
        Ok(if is_screen { format!("{CLEAR}{table}") } else { table })
    }
}

/// Writes to the standard output; false if its reader has seen enough (`| head`), which is no error.
pub(super) fn print(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

fn pause(text: &str) -> Result<u64, String> {
    let pause = text.parse().ok().filter(|pause| (1..=LONGEST_WATCH).contains(pause));
    pause.ok_or_else(|| {
        format!("allowed are 1 to {LONGEST_WATCH} seconds, or none; HOST goes before --watch")
    })
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("allowed are 1 to {MAX_LIMIT}"))
}
