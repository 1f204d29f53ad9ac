//! The command line. Short options are tcpdump's where they mean the same.

mod diagnose;
mod expression;
pub mod filter;
mod flows;
mod values;

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, DEFAULT_PATH, Format, Size};

pub use diagnose::DiagnoseArgs;
pub use expression::{GivenError, GivenFilter};
pub use filter::FilterArgs;
pub use flows::{FlowsArgs, FlowsError};
pub use values::InterfaceArg;

use flows::print;

/// Exit code for a wrong command line or configuration, the same as clap's.
pub const EXIT_USAGE: u8 = 2;
/// Exit code for what went wrong with the right command line.
pub const EXIT_FAILURE: u8 = 1;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "captured",
    version,
    about = "Captures packets with XDP into rotated segments and counts TCP and ICMP trouble"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture until stopped by SIGINT or SIGTERM; SIGHUP reads the configuration again.
    Run(Box<RunArgs>),
    /// Check a configuration file and exit.
    Check(CheckArgs),
    /// Print the configuration.
    Config(ConfigArgs),
    /// Ask the running daemon which side and which direction is at fault.
    Diagnose(DiagnoseArgs),
    /// Change or show the filters of the running daemon.
    Filter(FilterArgs),
    /// Ask the running daemon for its conversations, those with the most trouble first.
    Flows(FlowsArgs),
}

/// Options of `captured run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Interface to capture on, repeatable. `tap` (the default) copies frames and leaves the
    /// traffic alone; `mirror` takes the frames away from the host and is for SPAN ports. With -i
    /// only the interfaces given so are used; a section of the file with the same name gives the
    /// rest of their settings. Unlike tcpdump's, there is no interface `any`.
    #[arg(short = 'i', long = "interface", value_name = "IF[:tap|:mirror]")]
    pub interfaces: Vec<InterfaceArg>,

    /// Keep at most this many bytes of each frame, up to 262144, which 0 stands for, as in tcpdump.
    #[arg(short = 's', long = "snapshot-length", value_name = "BYTES",
        value_parser = values::snap_length)]
    pub snap_length: Option<u32>,

    /// Close a segment before it grows past this size: millions of bytes, or with the suffix k, m
    /// or g units of 1024, 1024² or 1024³ bytes, as in tcpdump.
    #[arg(short = 'C', long = "rotate-size", value_name = "FILE_SIZE",
        value_parser = values::file_size)]
    pub rotate_size: Option<Size>,

    /// Close a segment when it is this old, as in tcpdump.
    #[arg(short = 'G', long = "rotate-after", value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub rotate_after: Option<u64>,

    /// Keep this many segments and delete the oldest beyond them. Unlike tcpdump's, files are
    /// never overwritten, and the capture does not end.
    #[arg(short = 'W', long = "retain-count", value_name = "COUNT",
        value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub retain_count: Option<u64>,

    /// Directory of the segments. Unlike tcpdump's, a directory, not a file.
    #[arg(short = 'w', long = "directory", value_name = "DIR", value_parser = values::directory)]
    pub directory: Option<PathBuf>,

    /// Where to serve /metrics, /healthz, /readyz and /v1.
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::listen)]
    pub listen: Option<SocketAddr>,

    /// Unix socket through which `captured filter` changes filters.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// Format of the segments.
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Configuration file; options of the command line override it. Without -i and --config,
    /// /etc/captured.toml is read if it exists.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Use mirror mode even on an interface with an address, a route or a master: its traffic
    /// is cut.
    #[arg(long)]
    pub force: bool,

    /// Count frames, but capture none.
    #[arg(long)]
    pub count_only: bool,

    /// Check everything that can be checked without capturing, say what would be done, and exit.
    #[arg(long)]
    pub dry_run: bool,

    /// Log warnings and errors only.
    #[arg(short = 'q', long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Log more; twice for everything.
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub verbose: u8,

    /// The filter of all interfaces, instead of those of the file.
    #[command(flatten)]
    pub filter: GivenFilter,
}

impl RunArgs {
    /// The log level asked for; `info` by default.
    #[must_use]
    pub fn log_level(&self) -> log::LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => log::LevelFilter::Warn,
            (false, 0) => log::LevelFilter::Info,
            (false, 1) => log::LevelFilter::Debug,
            (false, _) => log::LevelFilter::Trace,
        }
    }
}

/// Options of `captured check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
}

impl CheckArgs {
    /// Checks the file. The text says what it configures.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
    pub fn run(&self) -> Result<String, ConfigError> {
        let config = Config::load(&self.config)?;
        let mut text = format!("{}: valid", self.config.display());
        if config.interfaces.is_empty() {
            text.push_str("; without interfaces: `captured run` will need -i");
        }
        for interface in &config.interfaces {
            text.push_str(&format!("\n  {}", interface.summary()));
        }
        Ok(text)
    }
}

/// Options of `captured config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The default one, with the documentation of each key.
    #[arg(long, required = true)]
    pub default: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let cli = Cli::try_parse_from(["captured", "run"].iter().chain(args))?;
        match cli.command {
            Command::Run(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tcpdump_like_options_are_read() {
        let args = run(&[
            "-i",
            "eth0",
            "-ieth1:mirror",
            "-s",
            "128",
            "-C",
            "5",
            "-G",
            "60",
            "-W",
            "9",
            "-w",
            "/d",
            "--listen",
            "[::1]:80",
            "--format",
            "pcap",
            "-vv",
        ])
        .unwrap();
        assert_eq!(args.interfaces.len(), 2);
        assert_eq!(args.snap_length, Some(128));
        assert_eq!(args.rotate_size, Some(Size(5_000_000)));
        assert_eq!((args.rotate_after, args.retain_count), (Some(60), Some(9)));
        assert_eq!(args.format, Some(Format::Pcap));
        assert_eq!(args.log_level(), log::LevelFilter::Trace);
    }

    #[test]
    fn wrong_values_exit_with_2_and_say_why() {
        for (args, word) in [
            (["-i", "eth0:span"], "eth0:tap or eth0:mirror"),
            (["-s", "262145"], "0 to 262144"),
            (["-C", "0"], "millions of bytes"),
            (["-C", "5t"], "suffix k, m"),
            (["-G", "0"], "not in 1.."),
            (["-W", "0"], "not in 1.."),
            (["-w", "-"], "not a directory"),
            (["--listen", "80"], "ADDRESS:PORT"),
            (["--format", "cap"], "pcapng, pcap"),
            (["-q", "-v"], "cannot be used with"),
        ] {
            let error = run(&args).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{args:?}");
            assert!(error.to_string().contains(word), "{args:?}: {error}");
        }
    }

    #[test]
    fn flows_are_asked_for_by_host_and_port() {
        let flows = |args: &[&str]| -> Result<FlowsArgs, clap::Error> {
            let cli = Cli::try_parse_from(["captured", "flows"].iter().chain(args))?;
            match cli.command {
                Command::Flows(args) => Ok(args),
                other => panic!("{other:?}"),
            }
        };
        let path = |args: &[&str]| flows(args).map(|args| args.query().path());
        let default = "/v1/flows?sort=trouble&limit=100";
        assert_eq!(path(&[]).unwrap(), default);
        let host = path(&["[2001:db8::1]:80", "--sort", "rtt", "--limit=5"]).unwrap();
        assert_eq!(host, "/v1/flows?sort=rtt&limit=5&host=2001:db8::1&port=80");
        assert_eq!(flows(&["--watch"]).unwrap().watch, Some(2));
        assert_eq!(flows(&["192.0.2.1", "--watch", "7"]).unwrap().watch, Some(7));
        for (args, word) in [
            (["--json", "web:80"], "`web` is not an IP address"),
            (["--sort", "size"], "trouble, retransmissions, bytes"),
            (["--limit", "0"], "1 to 100000"),
            (["--watch", "0"], "1 to 86400"),
            (["--watch", "192.0.2.1"], "HOST goes before --watch"),
            (["--url", "127.0.0.1:9411"], "http://ADDRESS:PORT"),
        ] {
            let error = flows(&args).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{args:?}");
            assert!(error.to_string().contains(word), "{args:?}: {error}");
        }
    }

    #[test]
    fn help_names_the_default_file() {
        let help =
            Cli::command().find_subcommand_mut("run").unwrap().render_long_help().to_string();
        assert!(help.contains(DEFAULT_PATH), "{help}");
    }

    #[test]
    fn check_reports_what_is_configured() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("c.toml");
        std::fs::write(
            &config,
            "[[interface]]\nname = 'eth7'\nfilter = 'icmp'\n\
             [[interface]]\nname = 'eth8'\nmode = 'mirror'\ncapture = false\n",
        )
        .unwrap();
        let text = CheckArgs { config: config.clone() }.run().unwrap();
        assert!(text.contains("eth7: tap, captures icmp"), "{text}");
        assert!(text.contains("eth8: mirror, counts only"), "{text}");
        std::fs::write(&config, "").unwrap();
        assert!(CheckArgs { config }.run().unwrap().contains("will need -i"));
    }
}
