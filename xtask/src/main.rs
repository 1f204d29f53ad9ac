//! `cargo xtask …`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{
    bench, demo,
    setup::{self, Purpose},
    suite,
};

/// Tests, shows and measures captured; each command first installs what it needs (Debian 12).
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Install nothing: end with a list if something is missing.
    #[arg(long, global = true)]
    no_install: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Install what plain `cargo build` needs, and nothing else.
    Setup,
    /// Play traffic in a lab of network namespaces, capture it, and report what was seen.
    Demo(demo::Args),
    /// Measure what captured costs on this machine.
    Bench(bench::Args),
    /// Lint, build the release daemon and run all tests.
    Test(suite::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let install = !cli.no_install;
    match cli.command {
        Command::Setup => setup::ensure(Purpose::Build, install),
        Command::Demo(args) => {
            setup::require_root("cargo xtask demo")?;
            setup::ensure(Purpose::Demo, install)?;
            demo::run(args)
        }
        Command::Bench(args) => {
            setup::require_root("cargo xtask bench")?;
            setup::ensure(Purpose::Bench, install)?;
            bench::run(args)
        }
        Command::Test(args) => {
            if args.is_unprivileged() {
                setup::ensure(Purpose::Build, install)?;
            } else {
                setup::require_root("cargo xtask test")?;
                setup::ensure(Purpose::Test, install)?;
            }
            suite::run(&args)
        }
    }
}
