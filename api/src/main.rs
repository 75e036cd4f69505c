//! The `api` binary: configuration in, requests served, drained on SIGTERM.

use std::{error::Error, process::ExitCode};

use common::{
    clock::Clock,
    config::ApiConfig,
    process::{Service, StopSignal},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const API: Service = Service {
    name: "api",
    usage: "\
The Norvalt API: serves leads to the dashboard and takes Clerk's webhooks.

Usage: api [--help | --version]

Configured by the environment or a .env file; .env.example describes every variable.
Serves on PORT (8000 by default). Stops on SIGTERM or Ctrl-C: goes on serving for DRAIN_SECONDS while /health/ready
fails, then lets running requests finish. A second signal aborts.",
    abort: "running requests are cut off",
};

/// File descriptors for other things than connections of clients and to the database, among them those of operators.
const OTHER_FILES: u64 = 160;

fn main() -> ExitCode {
    API.main(ApiConfig::read, run)
}

async fn run(config: ApiConfig, stop: StopSignal) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = within_file_limit(config);
    let port = config.port;
    let listener = server::listen(port)
        .map_err(|error| format!("cannot listen on port {port} (set PORT to another one): {error}"))?;
    // On the heap: it is large, and there is one.
    Ok(Box::pin(api::serve(config, listener, Clock::system(), stop.received())).await?)
}

/// Asks the system for as many file descriptors as it allows, and takes no more connections than they suffice for.
fn within_file_limit(mut config: ApiConfig) -> ApiConfig {
    let limit = getrlimit(Resource::Nofile);
    let files = match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let databases = 1 + u64::from(config.read_database_url.is_some());
    let spare =
        files.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES + u64::from(config.database_connections) * databases);
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
