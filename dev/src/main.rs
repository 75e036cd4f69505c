//! `cargo dev`: the whole system on one machine, with nothing to install, configure or sign up for.

mod database;
mod directory;
mod environment;
mod failure;
mod ports;
mod ready;
mod screen;
mod signals;
mod system;
mod watch;
mod workspace;

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use dev::console::Console;

/// Starts the whole Norvalt backend on this machine: a PostgreSQL of its own, a stand-in for Clerk, the API and the
/// worker, with demo dealerships in it. Nothing needs to be configured. Ctrl-C stops everything and keeps the data.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev", after_help = AFTER_HELP)]
struct Arguments {
    /// Forget everything first: the database, the stand-in's people and keys
    #[arg(long)]
    reset: bool,
    /// Build and restart what changes while it runs, and apply migrations that are new
    #[arg(long)]
    watch: bool,
    /// Port of the stand-in for Clerk; the next free one if it is taken
    #[arg(long, value_name = "PORT", default_value_t = 8001)]
    clerk_port: u16,
}

const AFTER_HELP: &str = "\
Environment:
  PORT          Port of the API, by default 8000; the next free one if it is taken
  DATABASE_URL  Use this PostgreSQL database instead of a private one
  PG_BIN_DIR    Directory of the PostgreSQL server to run, if several are installed
  API_ADMIN_ADDRESS, WORKER_ADMIN_ADDRESS
                Where they serve metrics, by default ports 9000 and 9001 of this machine, or the next free ones
  RUST_LOG      What the API and the worker log, by default info
Everything else that they read may be set as well, also in the file .env, except for Clerk's keys
and addresses: those are of the stand-in. What is kept between runs is in .dev/ (if you are root,
below /var/lib/norvalt-dev/, since PostgreSQL then runs as another user).

When everything runs, it prints where, a session token for each demo person, and commands to try.
The tests need none of this: `cargo test`.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console = Arc::new(Console::standard());
    match system::run(&arguments, &console).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{}: {}", console.bold("error"), common::telemetry::chain(&failure));
            ExitCode::FAILURE
        }
    }
}
