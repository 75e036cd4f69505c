use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    config::Outgoing,
    db::{Db, TenantForJob, watched},
    queue::{ClaimedJob, LeaseError, NextState, Retry, defer, drop_pointless, fail},
    secrets::Keyring,
    telemetry::Trace,
};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, field::Empty};

use super::{
    attempt::AttemptError,
    completer::Completions,
    local_queue::{LocalQueue, Loss},
    permits::{Flow, Permits},
    retry_log::RetryLog,
};
use crate::{
    Registry,
    behaviour::{Behaviour, NetworkBehaviour},
    job_error::JobError,
    kinds::{JobContext, Services},
    metrics::{Metrics, Outcome},
    own_slots::OwnSlots,
    registry::Unrunnable,
};

/// How long a job waits that this release does not know.
const DEFER: Duration = Duration::from_secs(30);
/// How long recording a failed attempt may take, before it is tried again.
const RECORD: Duration = Duration::from_secs(5);

/// Runs the jobs of one local queue, and sees each to its end.
pub(super) struct Execution {
    pub(super) db: Db,
    pub(super) services: Services,
    pub(super) keyring: Keyring,
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) public_url: Option<Arc<str>>,
    pub(super) own_slots: Arc<OwnSlots>,
    pub(super) registry: Registry,
    pub(super) local_queue: Arc<LocalQueue>,
    pub(super) completions: Completions,
    /// Set when a job was left to its lease: what became of it could not be written down.
    pub(super) unsettled: Arc<AtomicBool>,
    pub(super) metrics: Arc<Metrics>,
    /// At the pool's connections. Whoever waited in the pool itself would be told after a moment that the database is away.
    pub(super) connections: Permits,
    /// Jobs of dealerships take one of these first, and so leave connections to what there is little of, such as events of Clerk's.
    pub(super) of_dealerships: Permits,
}

/// What is to be recorded about an attempt that did not succeed.
enum FailedAttempt {
    Failed {
        reason: String,
        retry: Retry,
    },
    /// The attempt does not count.
    Later {
        reason: String,
        after: Duration,
    },
    /// This release does not know the job.
    Deferred {
        reason: String,
    },
    /// There is nothing left to do it for.
    Pointless {
        reason: String,
    },
}

impl Execution {
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
        let outcome = trace.of(self.run_until_lost(&job)).instrument(span).await;
        self.metrics.ended(&job.kind, outcome, slot.since.elapsed());
        trace.set("norvalt.job.outcome", outcome.as_str());
        trace.end(!matches!(outcome, Outcome::Done | Outcome::Deferred));
    }

    async fn run_until_lost(&self, job: &ClaimedJob) -> Outcome {
        tokio::select! {
            biased;
            outcome = self.see_through(job) => outcome,
            loss = self.local_queue.lost(&job.lease) => match loss {
                Loss::LeaseRanOut => {
                    self.unsettled.store(true, Ordering::Relaxed);
                    tracing::warn!(
                        "the lease ran out before the job was done; its transaction is rolled back, it runs again"
                    );
                    Outcome::LeaseLost
                }
                Loss::Cancelled => {
                    tracing::warn!("the job was cancelled while it ran; its transaction is rolled back");
                    Outcome::Cancelled
                }
            }
        }
    }

    async fn see_through(&self, job: &ClaimedJob) -> Outcome {
        let ended = match self.registry.work(job) {
            Ok((behaviour, limit)) => return watched(Box::pin(self.attempt(job, behaviour, limit))).await,
            Err(unrunnable @ Unrunnable::Unknown(..)) => FailedAttempt::Deferred { reason: unrunnable.to_string() },
            Err(unrunnable) => FailedAttempt::of(&JobError::dead(unrunnable)),
        };
        self.local_queue.end(&job.lease);
        self.record(job, &ended, None).await
    }

    async fn attempt(&self, job: &ClaimedJob, behaviour: Behaviour, limit: Duration) -> Outcome {
        let context = JobContext {
            job_id: job.lease.job_id(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            keyring: self.keyring.clone(),
            outgoing: self.outgoing.clone(),
            public_url: self.public_url.clone(),
            own_slots: self.own_slots.clone(),
            metrics: self.metrics.clone(),
        };
        let mut network = None;
        let attempted = match behaviour {
            Behaviour::Network(steps) if job.attempt > job.max_attempts => {
                network = Some(steps);
                Err(JobError::dead("its last attempt lost its worker").into())
            }
            Behaviour::System(perform) => self.in_system(job, &context, perform, limit).await,
            Behaviour::Tenant(perform) => self.in_tenant(job, &context, perform, limit).await,
            Behaviour::Network(steps) => self.with_network(job, &context, &mut **network.insert(steps), limit).await,
            Behaviour::Idempotent(perform) => {
                let connection = self.connections.acquire(Flow::of(self.local_queue.queue())).await;
                let work = perform(&context, &self.db, &self.services);
                match self.contained(job, limit, work).await {
                    Ok(()) => {
                        drop(connection);
                        self.local_queue.end(&job.lease);
                        return if self.completions.complete(job.lease).await { done() } else { lease_lost() };
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let failed = match attempted {
            Ok(()) => return done(),
            Err(AttemptError::LeaseLost) => return lease_lost(),
            Err(AttemptError::Failed(error)) => FailedAttempt::of(&error),
            Err(AttemptError::Pointless(reason)) => FailedAttempt::Pointless { reason },
        };
        self.local_queue.end(&job.lease);
        self.record(job, &failed, network.map(|steps| Burial { context, steps })).await
    }

    /// Records the failed attempt. Tries until the lease runs out, which ends this from outside.
    async fn record(&self, job: &ClaimedJob, failed: &FailedAttempt, mut burial: Option<Burial>) -> Outcome {
        let mut retry_log = RetryLog::of("record what became of a job");
        loop {
            match self.try_record(job, failed, burial.as_mut()).await {
                Ok(outcome) => return outcome,
                Err(LeaseError::Lost) => return lease_lost(),
                Err(LeaseError::Db(error)) => sleep(retry_log.pause(&error)).await,
            }
        }
    }

    async fn try_record(
        &self,
        job: &ClaimedJob,
        failed: &FailedAttempt,
        burial: Option<&mut Burial>,
    ) -> Result<Outcome, LeaseError> {
        let (lease, id) = (&job.lease, job.lease.job_id());
        if let (FailedAttempt::Failed { reason, .. }, Some(burial)) = (failed, burial)
            && failed.buries(job)
            && self.bury(job, reason, burial).await?
        {
            tracing::error!(reason, "the job is dead; once its cause is fixed: norvalt jobs retry {id}");
            return Ok(Outcome::Dead);
        }
        let mut tx = self.db.system_within(RECORD).await?;
        match failed {
            FailedAttempt::Deferred { reason } => {
                defer(&mut tx, lease, DEFER).await?;
                tx.commit().await?;
                tracing::warn!(reason, "gave a job back for a newer release; deploy one that knows it");
                Ok(Outcome::Deferred)
            }
            FailedAttempt::Later { reason, after } => {
                defer(&mut tx, lease, *after).await?;
                tx.commit().await?;
                tracing::info!(reason, seconds = after.as_secs(), "the job has to wait; the attempt does not count");
                Ok(Outcome::Deferred)
            }
            FailedAttempt::Pointless { reason } => {
                drop_pointless(&mut tx, lease, reason).await?;
                tx.commit().await?;
                tracing::info!(reason, "cancelled the job: it has become pointless");
                Ok(Outcome::Cancelled)
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
                        tracing::error!(reason, "the job is dead; once its cause is fixed: norvalt jobs retry {id}");
                        Outcome::Dead
                    }
                })
            }
        }
    }

    /// Buries a job through the door of its dealership, with what it leaves behind. `false`: not in this way, since the
    /// dealership is not there, or the job cannot even write down its end.
    async fn bury(
        &self,
        job: &ClaimedJob,
        reason: &str,
        Burial { context, steps }: &mut Burial,
    ) -> Result<bool, LeaseError> {
        let Some(dealership) = job.dealership else { return Ok(false) };
        let TenantForJob::Open(mut tx) = self.db.tenant_for_job(dealership, RECORD).await? else { return Ok(false) };
        match steps.dead(reason, context, &mut tx).await {
            Ok(()) => {}
            Err(JobError::DatabaseUnavailable(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(reason = error.reason(), "a job that is dead could not write down its end");
                return Ok(false);
            }
        }
        fail(&mut tx, &job.lease, reason, Retry::Never).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// What writes down that a job will not happen.
struct Burial {
    context: JobContext,
    steps: Box<dyn NetworkBehaviour>,
}

fn done() -> Outcome {
    tracing::debug!("the job is done");
    Outcome::Done
}

fn lease_lost() -> Outcome {
    tracing::warn!(
        "the job is not ours any more: its lease ran out here and another worker has it, an operator cancelled it, or it is \
         done and the answer was lost"
    );
    Outcome::LeaseLost
}

impl FailedAttempt {
    fn of(error: &JobError) -> Self {
        let retry = match error {
            JobError::Later(after, _) => return Self::Later { reason: error.reason(), after: *after },
            JobError::Retry(_) => Retry::Later,
            JobError::DatabaseUnavailable(_) => Retry::Soon,
            JobError::Dead(_) => Retry::Never,
        };
        Self::Failed { reason: error.reason(), retry }
    }

    /// Whether the job is dead with this.
    fn buries(&self, job: &ClaimedJob) -> bool {
        match self {
            Self::Failed { retry: Retry::Never, .. } => true,
            Self::Failed { .. } => job.attempt >= job.max_attempts,
            Self::Later { .. } | Self::Deferred { .. } | Self::Pointless { .. } => false,
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
