//! The worker, with a kind of job that misbehaves. The tests start it themselves.

use std::process::ExitCode;

use common::{
    config::{Settings, WorkerConfig},
    telemetry::error_chain,
};
use tests::misbehaviour::Misbehave;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let config = WorkerConfig::read(&mut Settings::from_env()).expect("the tests configure it");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
    let stop = async { _ = terminate.recv().await };
    let registry = worker::jobs::registry(&config).system::<Misbehave>();
    match Box::pin(worker::run(config, registry, stop)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-worker: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}
