//! `captured diagnose`: which side and which direction is at fault, for people.

use std::time::Duration;

use clap::Args;

use super::flows::{FlowsError, print};
use crate::{
    client::{self, DEFAULT_URL, DaemonUrl, Target},
    diagnosis::{Diagnosis, DiagnosisQuery},
};

/// Options of `captured diagnose`.
#[derive(Clone, Debug, Args)]
pub struct DiagnoseArgs {
    /// Only this service or host: an address, such as 192.0.2.1, 192.0.2.1:80, 2001:db8::1 or
    /// [2001:db8::1]:80.
    #[arg(value_name = "HOST[:PORT]")]
    pub target: Option<Target>,

    /// Only what happened in this time before now, such as 90s, 10m or 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub last: Option<Duration>,

    /// Print the daemon's answer as it is; docs/diagnosis.md describes it.
    #[arg(long)]
    pub json: bool,

    /// The daemon: where its HTTP server listens.
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub url: DaemonUrl,
}

impl DiagnoseArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// The daemon does not answer, or the standard output cannot be written to.
    pub fn run(&self) -> Result<(), FlowsError> {
        let query = DiagnosisQuery {
            host: self.target.map(|target| target.host),
            port: self.target.and_then(|target| target.port),
            last: self.last,
        };
        let url = self.url.to_string();
        let answer = client::get(&url, &query.path())?;
        if self.json {
            print(&format!("{answer}\n"))?;
            return Ok(());
        }
        let diagnosis: Diagnosis =
            serde_json::from_str(&answer).map_err(|source| FlowsError::Answer { url, source })?;
        print(&diagnosis.to_string())?;
        Ok(())
    }
}
