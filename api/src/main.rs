//! The `api` binary: configuration in, requests served, drained on SIGTERM.

use std::{net::Ipv4Addr, process::ExitCode};

use common::{
    clock::Clock,
    config::{ApiConfig, Settings, TelemetryConfig},
    telemetry,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

const USAGE: &str = "\
The Norvalt API: serves leads to the dashboard and takes Clerk's webhooks.

Usage: api [--help | --version]

Configured by the environment or a .env file; .env.example describes every variable.
Serves on PORT (8000 by default). Stops on SIGTERM or Ctrl-C, once running requests have finished.";

/// Configuration error, as in <https://man.freebsd.org/cgi/man.cgi?query=sysexits>.
const EX_CONFIG: u8 = 78;

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
        Ok(config) => config,
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
            tracing::error!(error = telemetry::chain(&*error), "the API ended");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: ApiConfig) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let port = config.port;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .map_err(|error| format!("cannot listen on port {port} (set PORT to another one): {error}"))?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(api::serve(config, listener, Clock::system(), stop).await?)
}
