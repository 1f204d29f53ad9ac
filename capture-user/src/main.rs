//! The `captured` binary.

use std::process::ExitCode;

use capture_user::{
    cli::{Cli, Command, EXIT_FAILURE, EXIT_USAGE},
    config, daemon,
};
use clap::Parser as _;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => {
            env_logger::Builder::new()
                .filter_level(args.log_level())
                // aya tells every relocation at debug level; RUST_LOG brings it back.
                .filter_module("aya", log::LevelFilter::Warn)
                .filter_module("aya_obj", log::LevelFilter::Warn)
                .format_target(false)
                .parse_default_env()
                .init();
            match daemon::run(&args) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, error.exit_code()),
            }
        }
        Command::Check(args) => match args.run() {
            Ok(summary) => {
                println!("{summary}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, EXIT_USAGE),
        },
        Command::Config(_) => {
            print!("{}", config::default_text());
            ExitCode::SUCCESS
        }
        Command::Diagnose(args) => match args.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, EXIT_FAILURE),
        },
        Command::Filter(args) => match args.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Flows(args) => match args.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, EXIT_FAILURE),
        },
    }
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("captured: {error}");
    ExitCode::from(code)
}
