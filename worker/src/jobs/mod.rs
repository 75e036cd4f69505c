//! What jobs do. A new kind of job: its payload in `common::jobs`, a file here, a line in [`registry`].
//!
//! A job that only changes the database implements [`SystemJob`]: its effects are there exactly once. One that talks to the
//! network must not hold a transaction open meanwhile, and one that changes many rows must not hold all their locks to the
//! end: it implements [`IdempotentJob`], opens short transactions of its own, and does no harm when it is run again.

mod count_leads;
mod process_clerk_event;
mod prune;
mod reconcile_clerk;

use std::{error::Error, sync::Arc, time::Duration};

use common::{
    config::{ClerkBackend, WorkerConfig},
    db::{self, Db, SystemTx},
    jobs::{CountLeads, ProcessClerkEvent, Prune, ReconcileClerk},
    queue::Job,
    telemetry::chain,
};

use crate::{Registry, metrics::Metrics};

/// Every kind of job that this worker runs.
pub fn registry(config: &WorkerConfig) -> Registry {
    let registry = Registry::default()
        .system::<ProcessClerkEvent>()
        .idempotent::<CountLeads>()
        .idempotent::<Prune>()
        .idempotent::<ReconcileClerk>()
        .every(Duration::from_hours(1), &CountLeads {})
        .every(Duration::from_mins(1), &Prune {});
    match &config.clerk {
        Some(_) => registry.every(config.sync_interval, &ReconcileClerk {}),
        None => registry,
    }
}

/// The behaviour of a kind of job.
///
/// The job is marked done in the same transaction that `perform` writes to, right after it: its effects are there exactly
/// once, however often it is run. It is run again after a crash, and from the start.
pub trait SystemJob: Job {
    /// How long one attempt may take. The attempt then fails and is tried again.
    const TIMEOUT: Duration;

    /// Does the work. What is not written through `tx` may happen again.
    fn perform(self, context: &JobContext, tx: &mut SystemTx) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// The behaviour of a kind of job whose work may be repeated.
///
/// It runs without a transaction, under a lease that is renewed meanwhile, and is marked done afterwards. Whatever it
/// does, it may do again: from the start after a crash, and even beside a worker that has lost its lease without knowing
/// it yet.
pub trait IdempotentJob: Job {
    /// How long one attempt may take. The attempt then fails and is tried again.
    const TIMEOUT: Duration;

    /// Does the work.
    fn perform(self, context: &JobContext, services: &Services) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// What a repeatable job works with.
#[derive(Debug, Clone)]
pub struct Services {
    /// The database. There is one connection for each job that runs: open one transaction at a time.
    pub db: Db,
    /// Clerk's Backend API, if there is a key for it.
    pub clerk: Option<ClerkBackend>,
}

/// What a job may know of itself besides its payload.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// `jobs.id`.
    pub job_id: i64,
    /// Which attempt this is, from 1.
    pub attempt: i16,
    /// After how many the job is dead.
    pub max_attempts: i16,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why an attempt failed, and whether another one could succeed.
#[derive(Debug)]
pub enum JobError {
    /// It may pass: try again later, as often as the kind of job allows.
    Retry(Box<dyn Error + Send + Sync>),
    /// The database went away meanwhile, which says nothing about the job: try again within seconds. The attempt counts
    /// all the same, since it may be the job that ends its connection.
    DatabaseUnavailable(db::Error),
    /// Trying again cannot help: an operator has to look at it.
    Dead(Box<dyn Error + Send + Sync>),
}

impl JobError {
    /// Another attempt may succeed.
    pub fn retry(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Retry(cause.into())
    }

    /// No other attempt can succeed.
    pub fn dead(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Dead(cause.into())
    }

    /// The whole chain of causes.
    pub fn reason(&self) -> String {
        match self {
            Self::Retry(cause) | Self::Dead(cause) => chain(&**cause),
            Self::DatabaseUnavailable(error) => chain(error),
        }
    }
}

impl From<db::Error> for JobError {
    /// A database that is away comes back soon, and a statement that was refused may be mended by the next release.
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Unavailable(_) => Self::DatabaseUnavailable(error),
            db::Error::Refused(_) => Self::retry(error),
        }
    }
}
