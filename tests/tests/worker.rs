//! The worker in this process, with kinds of jobs of the tests' own, and the real binary.

mod dealerships;
mod execution;
mod faults;
mod idempotent;
mod interventions;
mod kinds;
mod lifecycle;
mod limits;
mod process;
mod prune;
mod reconcile;

use std::{collections::BTreeMap, time::Duration};

use common::{
    config::{Operators, Outgoing, Outside, WorkerConfig},
    db::{DatabaseUrl, Db},
    queue::{Enqueued, Job, NewJob, enqueue},
    secrets::Keyring,
};
use tests::{
    cluster::{TestDatabase, database},
    jobs::JobTable,
};
use tokio::{sync::oneshot, task::JoinHandle};
use worker::{Registry, RunError};

/// A database with a worker that may run on it.
struct TestWorker {
    table: JobTable,
    db: Db,
    config: WorkerConfig,
    url: String,
    _database: Option<TestDatabase>,
}

impl TestWorker {
    async fn open() -> Self {
        let database = database().await;
        let test = Self::at(&database.url).await;
        Self { _database: Some(database), ..test }
    }

    /// In a database that somebody else looks after.
    async fn at(url: &str) -> Self {
        let database_url: DatabaseUrl = url.parse().expect("it is a PostgreSQL URL");
        let config = WorkerConfig {
            database_url: database_url.clone(),
            keyring: Keyring::default(),
            connections: 10,
            concurrency: 4,
            queue_limits: BTreeMap::new(),
            lease: Duration::from_secs(30),
            // Longer than the tests wait: what is announced must be heard.
            poll: Duration::from_mins(1),
            clerk: None,
            outside: Outside::default(),
            outgoing: Outgoing::default(),
            public_url: None,
            sync_interval: Duration::from_hours(1),
            shutdown: Duration::from_secs(20),
            admin_address: None,
            operators: Operators::default(),
        };
        Self {
            table: JobTable::at(url).await,
            db: Db::new(&database_url, 4, "tests"),
            config,
            url: url.to_owned(),
            _database: None,
        }
    }

    /// Starts a worker that knows the tests' kinds of jobs.
    fn worker(&self) -> Running {
        self.worker_of(kinds::registry())
    }

    fn worker_of(&self, registry: Registry) -> Running {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { _ = stopped.await };
        Running { task: tokio::spawn(worker::run(self.config.clone(), registry, shutdown)), stop }
    }

    async fn add<J: Job>(&self, job: &J) -> i64 {
        let mut tx = self.db.system().await.expect("the database is there");
        let enqueued = enqueue(&mut tx, &NewJob::now(job)).await.expect("it can be enqueued");
        tx.commit().await.expect("it can be committed");
        match enqueued {
            Enqueued::As(id) => id,
            Enqueued::Duplicate => panic!("there is one like it"),
        }
    }

    /// How many effects the jobs have had.
    async fn effects(&mut self) -> usize {
        self.table.payloads(kinds::Effect::KIND).await.len()
    }
}

struct Running {
    task: JoinHandle<Result<(), RunError>>,
    stop: oneshot::Sender<()>,
}

impl Running {
    /// Tells it to stop and waits until it has.
    async fn stop(self) -> Result<(), RunError> {
        let _ = self.stop.send(());
        self.task.await.expect("the worker does not panic")
    }
}
