//! `cargo dev`: the whole system on one machine, with nothing to install, configure or sign up for.

mod database;
mod directory;
mod environment;
mod exports;
mod failure;
mod outside;
mod ports;
mod ready;
mod screen;
mod secrets;
mod signals;
mod system;
mod watch;
mod workspace;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand, ValueEnum};
use dev::console::Console;

/// Runs the whole Norvalt backend on this machine: a PostgreSQL of its own, stand-ins for Clerk and all others outside,
/// the API and the worker, with demo dealerships in it. Nothing needs to be configured. Ctrl-C stops everything and keeps the data.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev", after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Forget everything first: the private database, the stand-in's people and keys
    #[arg(long)]
    reset: bool,
    /// Build and restart what changes while it runs, and apply migrations that are new
    #[arg(long)]
    watch: bool,
    /// Port of the stand-in for Clerk; the next free one if it is taken
    #[arg(long, value_name = "PORT", default_value_t = 8001)]
    clerk_port: u16,
    /// Whose tokens and webhooks to accept: with `real`, those of the CLERK_ keys in .env, with a private database
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Clerk::StandIn)]
    clerk: Clerk,
    /// Use the database although it holds what cargo dev did not make: migrate it, add the demo dealerships, and close
    /// each dealership and erase each person in it that the stand-in for Clerk does not know, unless comparing with it is
    /// refused, as with a Clerk that is not theirs
    #[arg(long)]
    overwrite_database: bool,
    /// Where to keep data and keys between runs [default: .dev/ here; for root, below /var/lib/norvalt-dev/]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the environment of what runs, for norvalt and psql: eval "$(cargo dev env)"
    Env {
        /// Where the data and keys of what runs are, if it was started with --data
        #[arg(long, value_name = "DIRECTORY")]
        data: Option<PathBuf>,
    },
}

/// Who says who people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Clerk {
    StandIn,
    Real,
}

const AFTER_HELP: &str = "\
Environment, also from .env:
  PORT          Port of the API, by default 8000; the next free one if it is taken
  DATABASE_URL  Use this PostgreSQL database instead of a private one. It must be empty or from an
                earlier `cargo dev`; any other is refused before anything is written
  PG_BIN_DIR    Directory of the PostgreSQL server to run, if several are installed
  API_ADMIN_ADDRESS, WORKER_ADMIN_ADDRESS
                Where they serve metrics, by default ports 9000 and 9001 of this machine, or the
                next free ones
  RUST_LOG      What the API and the worker log, by default info
  CLERK_...     Keys and addresses: only with --clerk real; else ignored, which is reported
All other settings of the API and the worker count as well (see .env.example).

When everything runs, a page shows the addresses, the demo people and commands to try.
The tests need none of this: `cargo test`.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console = Arc::new(Console::standard());
    let outcome = match &arguments.command {
        Some(Command::Env { data }) => exports::print(data.as_deref()),
        None => system::run(&arguments, &console).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{}: {}", console.bold("error"), common::telemetry::error_chain(&failure));
            ExitCode::FAILURE
        }
    }
}
