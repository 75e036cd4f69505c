//! The `norvalt` binary.

use std::process::ExitCode;

use clap::Parser;
use cli::Cli;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads and file descriptors to start with");
    runtime.block_on(Cli::parse().run())
}
