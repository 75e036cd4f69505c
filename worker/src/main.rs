//! The worker: runs the jobs of the queue until it is told to stop.

use std::process::ExitCode;

use common::{
    config::{Settings, TelemetryConfig, WorkerConfig},
    telemetry,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

const USAGE: &str = "\
Runs the jobs of the queue until it receives SIGTERM or SIGINT, then finishes what it has begun.

Usage: worker [--help | --version]

It is configured by the environment or a .env file; see .env.example.
Exit status: 0 stopped cleanly, 1 something is wrong (the log says what), 2 wrong usage, 78 wrong configuration.";

/// `EX_CONFIG` of sysexits.h.
const WRONG_CONFIGURATION: u8 = 78;
const WRONG_USAGE: u8 = 2;
/// 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve().await,
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["--version" | "-V"] => {
            println!("worker {}", common::VERSION);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}

async fn serve() -> ExitCode {
    let mut settings = Settings::from_env();
    let telemetry = telemetry::init(&TelemetryConfig::read(&mut settings), "norvalt-worker");
    let config = match WorkerConfig::read(&mut settings) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("worker: {problems}");
            return ExitCode::from(WRONG_CONFIGURATION);
        }
    };
    let (terminate, interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen for signals");
            return ExitCode::FAILURE;
        }
    };
    let registry = worker::jobs::registry(&config);
    let outcome = Box::pin(worker::run(config, registry, stop_signal(terminate, interrupt))).await;
    telemetry.end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = telemetry::error_chain(&error), "the worker ended");
            ExitCode::FAILURE
        }
    }
}

/// Ends with the first signal. The second one aborts: leases run out, nothing is lost.
async fn stop_signal(mut terminate: Signal, mut interrupt: Signal) {
    next(&mut terminate, &mut interrupt).await;
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        tracing::warn!("aborted by a second signal; running jobs start again when their leases have run out");
        std::process::exit(INTERRUPTED);
    });
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
