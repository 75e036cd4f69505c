//! The whole system against PostgreSQL alone. `cargo bench --bench system -- --help` says what can be chosen.

use std::process::ExitCode;

use bench::options::Options;
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    bench::run(Options::parse()).await
}
