//! The worker: runs the jobs of the queue until it is told to stop.

use std::process::ExitCode;

use common::{
    config::WorkerConfig,
    process::{Service, StopSignal},
};

const WORKER: Service = Service {
    name: "worker",
    usage: "\
Runs the jobs of the queue until it receives SIGTERM or SIGINT, then finishes what it has begun.

Usage: worker [--help | --version]

It is configured by the environment or a .env file; see .env.example.
Exit status: 0 stopped cleanly, 1 something is wrong (the log says what), 2 wrong usage, 78 wrong configuration.",
    abort: "running jobs start again when their leases have run out",
};

fn main() -> ExitCode {
    WORKER.main(WorkerConfig::read, async |config: WorkerConfig, stop: StopSignal| {
        let registry = worker::jobs::registry(&config);
        Ok(Box::pin(worker::run(config, registry, stop.received())).await?)
    })
}
