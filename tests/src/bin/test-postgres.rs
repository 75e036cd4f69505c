//! Holds a PostgreSQL cluster for the tests and removes it when they are gone; the tests start it themselves.
//! `test-postgres <directory>` is shared, `test-postgres --private <directory>` follows its standard input.

use std::{env, path::PathBuf, process::ExitCode};

use tests::cluster::supervisor;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [private, root] if private == "--private" => supervisor::hold_private(PathBuf::from(root)).await,
        [root] => supervisor::hold_shared(PathBuf::from(root)).await,
        _ => Err("the tests start this program themselves; run `cargo test`".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", common::telemetry::error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
