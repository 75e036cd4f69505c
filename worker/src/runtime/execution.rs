use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    db::{self, SystemTx},
    queue::{ClaimedJob, LeaseError, NextState, Retry, complete, defer, fail},
    telemetry::Trace,
};
use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, field::Empty};

use super::{completer::Completions, local_queue::LocalQueue, retry_log::RetryLog};
use crate::{
    Registry,
    jobs::{JobContext, JobError, Services},
    metrics::{Metrics, Outcome},
    registry::{Behaviour, Unrunnable},
};

/// How long a job waits that this release does not know.
const DEFER: Duration = Duration::from_secs(30);
/// How long recording a failed attempt may take, before it is tried again.
const RECORD: Duration = Duration::from_secs(5);

/// Runs the jobs of one local queue, and sees each to its end.
pub(super) struct Execution {
    services: Services,
    registry: Registry,
    local_queue: Arc<LocalQueue>,
    completions: Completions,
    /// Set when a job was left to its lease: what became of it could not be written down.
    unsettled: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

/// Why an attempt did not end with a job that is done.
#[derive(Debug)]
enum AttemptError {
    LeaseLost,
    Failed(JobError),
}

/// How far a successful attempt has brought its job.
enum Progress {
    /// It is done, with its effects.
    Completed,
    /// The work is done, but the job is not marked so.
    Worked,
}

/// What is to be written down about a job that is not done.
enum FailedAttempt {
    Failed { reason: String, retry: Retry },
    Deferred { reason: String },
}

impl Execution {
    pub(super) fn new(
        services: Services,
        registry: Registry,
        local_queue: Arc<LocalQueue>,
        completions: Completions,
        unsettled: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { services, registry, local_queue, completions, unsettled, metrics }
    }

    pub(super) fn local_queue(&self) -> Arc<LocalQueue> {
        self.local_queue.clone()
    }

    /// Runs a job that was given a slot, and returns when the slot is free again.
    pub(super) async fn run(&self, job: ClaimedJob) {
        let trace = Trace::of_job(job.kind.clone(), job.trace_context.as_deref());
        let (job_id, attempt) = (job.lease.job_id(), job.attempt);
        let span = tracing::info_span!(
            "job",
            job_id,
            kind = job.kind,
            attempt,
            trace_id = %trace.id(),
            dealership = Empty
        );
        trace.set("norvalt.job.id", job_id);
        trace.set("norvalt.job.attempt", i64::from(attempt));
        let slot = Slot::taken(self, &job);
        let outcome = self.run_until_lost(&job).instrument(span).await;
        self.metrics.ended(&job.kind, outcome, slot.since.elapsed());
        trace.set("norvalt.job.outcome", outcome.as_str());
        trace.end(!matches!(outcome, Outcome::Done | Outcome::Deferred));
    }

    async fn run_until_lost(&self, job: &ClaimedJob) -> Outcome {
        tokio::select! {
            biased;
            outcome = self.see_through(job) => outcome,
            () = self.local_queue.lost(&job.lease) => {
                self.unsettled.store(true, Ordering::Relaxed);
                tracing::warn!("the lease ran out before the job was done; its transaction is rolled back, it runs again");
                Outcome::LeaseLost
            }
        }
    }

    async fn see_through(&self, job: &ClaimedJob) -> Outcome {
        let failed = match self.registry.work(job) {
            Ok((work, limit)) => match self.attempt(job, work, limit).await {
                Ok(Progress::Completed) => return done(),
                Ok(Progress::Worked) => {
                    self.local_queue.end(&job.lease);
                    return if self.completions.complete(job.lease).await { done() } else { lease_lost() };
                }
                Err(AttemptError::LeaseLost) => return lease_lost(),
                Err(AttemptError::Failed(error)) => FailedAttempt::of(&error),
            },
            Err(unrunnable @ Unrunnable::Unknown(..)) => FailedAttempt::Deferred { reason: unrunnable.to_string() },
            Err(unrunnable) => FailedAttempt::of(&JobError::dead(unrunnable)),
        };
        self.local_queue.end(&job.lease);
        self.record(job, &failed).await
    }

    async fn attempt(&self, job: &ClaimedJob, work: Behaviour, limit: Duration) -> Result<Progress, AttemptError> {
        let context = JobContext {
            job_id: job.lease.job_id(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            metrics: self.metrics.clone(),
        };
        match work {
            Behaviour::System(work) => {
                let mut tx = self.begin(limit).await?;
                let performed = async {
                    work(&context, &mut tx).await?;
                    complete(&mut tx, &job.lease).await?;
                    tx.commit().await.map_err(|error| AttemptError::Failed(error.into()))
                };
                self.contained(job, limit, performed).await?;
                Ok(Progress::Completed)
            }
            Behaviour::Idempotent(work) => {
                self.contained(job, limit, work(&context, &self.services)).await?;
                Ok(Progress::Worked)
            }
        }
    }

    /// Opens the job's transaction. A database that is away is not the job's failure: it is waited for.
    async fn begin(&self, limit: Duration) -> Result<SystemTx, AttemptError> {
        let mut retry_log = RetryLog::of("begin a job's transaction");
        loop {
            match self.services.db.system_within(limit).await {
                Ok(tx) => return Ok(tx),
                Err(error @ db::Error::Unavailable(_)) => sleep(retry_log.pause(&error)).await,
                Err(refused) => return Err(JobError::from(refused).into()),
            }
        }
    }

    /// Records the failed attempt. Tries until the lease runs out, which ends this from outside.
    async fn record(&self, job: &ClaimedJob, failed: &FailedAttempt) -> Outcome {
        let mut retry_log = RetryLog::of("write down what became of a job");
        loop {
            match self.try_record(job, failed).await {
                Ok(outcome) => return outcome,
                Err(LeaseError::Lost) => return lease_lost(),
                Err(LeaseError::Db(error)) => sleep(retry_log.pause(&error)).await,
            }
        }
    }

    async fn try_record(&self, job: &ClaimedJob, failed: &FailedAttempt) -> Result<Outcome, LeaseError> {
        let (lease, id) = (&job.lease, job.lease.job_id());
        let mut tx = self.services.db.system_within(RECORD).await?;
        match failed {
            FailedAttempt::Deferred { reason } => {
                defer(&mut tx, lease, DEFER).await?;
                tx.commit().await?;
                tracing::warn!(reason, "gave a job back for a newer release; deploy one that knows it");
                Ok(Outcome::Deferred)
            }
            FailedAttempt::Failed { reason, retry } => {
                let next = fail(&mut tx, lease, reason, *retry).await?;
                tx.commit().await?;
                Ok(match next {
                    NextState::RetriedAt(at) => {
                        tracing::warn!(reason, %at, "the job failed and is tried again");
                        Outcome::Retried
                    }
                    NextState::Dead => {
                        tracing::error!(reason, "the job is dead; once mended: norvalt jobs retry {id}");
                        Outcome::Dead
                    }
                })
            }
        }
    }

    /// An attempt with the time it may take. A panic fails it, and nothing else.
    async fn contained<E: From<JobError>>(
        &self,
        job: &ClaimedJob,
        limit: Duration,
        attempt: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        match timeout(limit, AssertUnwindSafe(attempt).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => {
                self.metrics.panicked(&job.kind);
                Err(JobError::retry(format!("panicked: {}", message(&*panic))).into())
            }
            Err(_) => {
                self.metrics.timed_out(&job.kind);
                Err(JobError::retry(format!("did not finish within {limit:?}")).into())
            }
        }
    }
}

fn done() -> Outcome {
    tracing::debug!("the job is done");
    Outcome::Done
}

fn lease_lost() -> Outcome {
    tracing::warn!(
        "the job is not ours any more: its lease ran out here and another worker has it, or it is done and the answer was lost"
    );
    Outcome::LeaseLost
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

impl FailedAttempt {
    fn of(error: &JobError) -> Self {
        let retry = match error {
            JobError::Retry(_) => Retry::Later,
            JobError::DatabaseUnavailable(_) => Retry::Soon,
            JobError::Dead(_) => Retry::Never,
        };
        Self::Failed { reason: error.reason(), retry }
    }
}

impl From<JobError> for AttemptError {
    fn from(error: JobError) -> Self {
        Self::Failed(error)
    }
}

impl From<LeaseError> for AttemptError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            LeaseError::Db(error) => Self::Failed(error.into()),
        }
    }
}

/// A job's place in its local queue, free again on every way out.
struct Slot<'a> {
    execution: &'a Execution,
    job: &'a ClaimedJob,
    since: Instant,
}

impl<'a> Slot<'a> {
    fn taken(execution: &'a Execution, job: &'a ClaimedJob) -> Self {
        execution.metrics.began(execution.local_queue.queue(), &job.kind, job.waited);
        Self { execution, job, since: Instant::now() }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.execution.local_queue.release(&self.job.lease);
        self.execution.metrics.left(self.execution.local_queue.queue());
    }
}
