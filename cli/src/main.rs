//! The `norvalt` binary.

use std::{
    panic,
    process::{self, ExitCode},
};

use clap::Parser;
use cli::Cli;

/// What a shell shows of a program that SIGPIPE has ended.
const NOBODY_READS: i32 = 141;

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads and file descriptors to start with");
    runtime.block_on(Cli::parse().run())
}

/// `norvalt jobs list | head -1` is no bug. Rust ignores SIGPIPE, so that printing panics instead.
fn end_quietly_when_nobody_reads() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|message| message.starts_with("failed printing to stdout: Broken pipe")) {
            process::exit(NOBODY_READS);
        }
        default(panic);
    }));
}
