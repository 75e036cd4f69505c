use std::{collections::BTreeMap, time::Duration};

use common::{
    config::{Operators, Outgoing, Outside, WorkerConfig},
    db::Db,
    queue::Job,
    secrets::Keyring,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use worker::{IdempotentJob, JobContext, JobError, Registry, RunError, Services};

use crate::{Outcome, context::Bench};

const DRAIN_TIMEOUT: Duration = Duration::from_mins(2);

/// Work outside of a transaction that comes to nothing: what is left is what the queue itself costs.
#[derive(Serialize, Deserialize)]
struct Nothing {}

impl Job for Nothing {
    const KIND: &'static str = "bench.nothing";
    /// Where the worker that is measured beside this one does not look.
    const QUEUE: &'static str = "bench";
}

impl IdempotentJob for Nothing {
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn perform(self, _: &JobContext, _: &Db, _: &Services) -> Result<(), JobError> {
        Ok(())
    }
}

/// A worker inside this process, which knows that kind of job alone.
pub(super) struct Batches {
    worker: JoinHandle<Result<(), RunError>>,
    stop: oneshot::Sender<()>,
}

impl Batches {
    pub(super) fn start(bench: &Bench) -> Outcome<Self> {
        let concurrency = u32::try_from(bench.options.connections)?;
        let config = WorkerConfig {
            database_url: bench.database.url.parse()?,
            keyring: Keyring::default(),
            connections: concurrency + 2,
            concurrency,
            queue_limits: BTreeMap::new(),
            lease: Duration::from_mins(1),
            poll: Duration::from_secs(1),
            clerk: None,
            outside: Outside::default(),
            outgoing: Outgoing::default(),
            public_url: None,
            sync_interval: Duration::from_hours(24),
            shutdown: Duration::from_secs(5),
            admin_address: None,
            operators: Operators::default(),
        };
        let (stop, stopped) = oneshot::channel();
        let registry = Registry::default().idempotent::<Nothing>();
        let until = async { _ = stopped.await };
        Ok(Self { worker: tokio::spawn(worker::run(config, registry, until)), stop })
    }

    /// Jobs done in a second.
    pub(super) async fn drain(&self, connection: &mut PgConnection, jobs: i64) -> Outcome<f64> {
        // It does not see them before they are committed.
        sqlx::query(
            "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
             SELECT $1, $2, '{}', 1, 'available', 12 FROM generate_series(1, $3)",
        )
        .bind(Nothing::QUEUE)
        .bind(Nothing::KIND)
        .bind(jobs)
        .execute(&mut *connection)
        .await?;
        let begin: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM clock_timestamp())::float8 FROM pg_notify('norvalt_jobs', '')",
        )
        .fetch_one(&mut *connection)
        .await?;
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        let progress = "SELECT count(*) FILTER (WHERE state <> 'done'), extract(epoch FROM max(finished_at))::float8
                        FROM jobs WHERE kind = $1";
        loop {
            let (left, end): (i64, Option<f64>) =
                sqlx::query_as(progress).bind(Nothing::KIND).fetch_one(&mut *connection).await?;
            if let (0, Some(end)) = (left, end) {
                sqlx::query("DELETE FROM jobs WHERE kind = $1").bind(Nothing::KIND).execute(connection).await?;
                return Ok(jobs as f64 / (end - begin));
            }
            if Instant::now() > deadline {
                return Err(format!("{left} of {jobs} jobs were not done within {DRAIN_TIMEOUT:?}").into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn stop(self) -> Outcome<()> {
        // It is there until it is told.
        let _ = self.stop.send(());
        Ok(self.worker.await??)
    }
}
