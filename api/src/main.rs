//! The `api` binary: configuration in, requests served, drained on SIGTERM.

use std::process::ExitCode;

use common::{
    clock::Clock,
    config::{ApiConfig, Settings, TelemetryConfig},
    telemetry,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

const USAGE: &str = "\
The Norvalt API: serves leads to the dashboard and takes Clerk's webhooks.

Usage: api [--help | --version]

Configured by the environment or a .env file; .env.example describes every variable.
Serves on PORT (8000 by default). Stops on SIGTERM or Ctrl-C: goes on serving for DRAIN_SECONDS while /health/ready
fails, then lets running requests finish. A second signal aborts.";

/// Configuration error, as in <https://man.freebsd.org/cgi/man.cgi?query=sysexits>.
const EX_CONFIG: u8 = 78;
/// 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;
/// File descriptors for other things than connections of clients and to the database, among them those of operators.
const OTHER_FILES: u64 = 160;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-V") => {
            println!("api {}", common::VERSION);
            return ExitCode::SUCCESS;
        }
        Some(_) => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    let mut settings = Settings::from_env();
    let telemetry = telemetry::init(&TelemetryConfig::read(&mut settings), "norvalt-api");
    let config = match ApiConfig::read(&mut settings) {
        Ok(config) => within_file_limit(config),
        Err(error) => {
            eprintln!("api: {error}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads and file descriptors to start with");
    let outcome = runtime.block_on(run(config));
    telemetry.end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = telemetry::error_chain(&*error), "the API ended");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: ApiConfig) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let port = config.port;
    let listener = server::listen(port)
        .map_err(|error| format!("cannot listen on port {port} (set PORT to another one): {error}"))?;
    Ok(api::serve(config, listener, Clock::system(), stop_signal(terminate, interrupt)).await?)
}

/// Ends with the first signal. The second one aborts.
async fn stop_signal(mut terminate: Signal, mut interrupt: Signal) {
    next(&mut terminate, &mut interrupt).await;
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        tracing::warn!("aborted by a second signal; running requests are cut off");
        std::process::exit(INTERRUPTED);
    });
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Asks the system for as many file descriptors as it allows, and takes no more connections than they suffice for.
fn within_file_limit(mut config: ApiConfig) -> ApiConfig {
    let limit = getrlimit(Resource::Nofile);
    let files = match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let spare = files.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES + u64::from(config.database_connections));
    let wanted = config.clients.connections;
    config.clients.connections = usize::try_from(spare).unwrap_or(usize::MAX).clamp(1, wanted);
    if config.clients.connections < wanted {
        tracing::warn!(
            connections = config.clients.connections,
            "few file descriptors, so few connections (ulimit -n)"
        );
    }
    config
}
