//! One attempt at a job: its transactions, with the job's completion in the last of them.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use common::{
    db::{self, SystemTx, TenantForJob, TenantTx},
    queue::{ClaimedJob, LeaseError, complete},
};
use futures::FutureExt;
use tokio::time::{sleep, timeout};

use super::{
    execution::Execution,
    permits::{Flow, Permit},
    retry_log::RetryLog,
};
use crate::{
    behaviour::{InSystem, InTenant, NetworkBehaviour},
    job_error::JobError,
    kinds::JobContext,
};

/// How long a job waits whose dealership is closed: it may be opened again.
const CLOSED: Duration = Duration::from_hours(1);

/// Which part of a job a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Not while the dealership is closed.
    Begins,
    /// What was done outside is written down all the same.
    Ends,
}

/// Why an attempt did not end with a job that is done.
#[derive(Debug)]
pub(super) enum AttemptError {
    LeaseLost,
    Failed(JobError),
    /// There is nothing left to do the job for.
    Pointless(String),
}

impl Execution {
    pub(super) async fn in_system(
        &self,
        job: &ClaimedJob,
        context: &JobContext,
        perform: InSystem,
        limit: Duration,
    ) -> Result<(), AttemptError> {
        let _connection = self.connections.acquire(Flow::of(self.local_queue.queue())).await;
        let mut tx = self.begin_system(limit).await?;
        let performed = async {
            perform(context, &mut tx).await?;
            complete(&mut tx, &job.lease).await?;
            tx.commit().await.map_err(failed)
        };
        self.contained(job, limit, performed).await
    }

    pub(super) async fn in_tenant(
        &self,
        job: &ClaimedJob,
        context: &JobContext,
        perform: InTenant,
        limit: Duration,
    ) -> Result<(), AttemptError> {
        let _connection = self.connection_of_dealership(job).await;
        let mut tx = self.begin_tenant(job, limit, Step::Begins).await?;
        let performed = async {
            perform(context, &mut tx).await?;
            complete(&mut tx, &job.lease).await?;
            tx.commit().await.map_err(failed)
        };
        self.contained(job, limit, performed).await
    }

    pub(super) async fn with_network(
        &self,
        job: &ClaimedJob,
        context: &JobContext,
        steps: &mut dyn NetworkBehaviour,
        limit: Duration,
    ) -> Result<(), AttemptError> {
        let connection = self.connection_of_dealership(job).await;
        let mut tx = self.begin_tenant(job, limit, Step::Begins).await?;
        let loaded = async {
            let wanted = steps.load(context, &mut tx).await?;
            if !wanted {
                complete(&mut tx, &job.lease).await?;
            }
            tx.commit().await.map_err(failed)?;
            Ok::<_, AttemptError>(wanted)
        };
        if !self.contained(job, limit, loaded).await? {
            return Ok(());
        }
        drop(connection);
        self.contained(job, limit, steps.call(&self.services)).await?;
        let _connection = self.connection_of_dealership(job).await;
        let mut tx = self.begin_tenant(job, limit, Step::Ends).await?;
        let saved = async {
            steps.save(context, &mut tx).await?;
            complete(&mut tx, &job.lease).await?;
            tx.commit().await.map_err(failed)
        };
        self.contained(job, limit, saved).await
    }

    /// Waits for the right to one connection for a job of a dealership's.
    async fn connection_of_dealership(&self, job: &ClaimedJob) -> [Permit; 2] {
        let queue = self.local_queue.queue();
        let own = self.of_dealerships.acquire(Flow::of_dealership(queue, job.dealership)).await;
        [own, self.connections.acquire(Flow::of(queue)).await]
    }

    /// Opens the job's transaction. A database that is away is not the job's failure: it is waited for.
    async fn begin_system(&self, limit: Duration) -> Result<SystemTx, AttemptError> {
        let mut retry_log = RetryLog::of("begin a job's transaction");
        loop {
            match self.db.system_within(limit).await {
                Ok(tx) => return Ok(tx),
                Err(error @ db::Error::Unavailable(_)) => sleep(retry_log.pause(&error)).await,
                Err(refused) => return Err(failed(refused)),
            }
        }
    }

    /// Opens the transaction of a dealership's job in the same way.
    async fn begin_tenant(&self, job: &ClaimedJob, limit: Duration, step: Step) -> Result<TenantTx, AttemptError> {
        let Some(dealership) = job.dealership else {
            return Err(JobError::dead("it was enqueued for no dealership, and its kind is done for one").into());
        };
        let mut retry_log = RetryLog::of("begin a job's transaction");
        loop {
            match self.db.unless_vanished(self.db.tenant_for_job(dealership, limit)).await.flatten() {
                Ok(TenantForJob::Open(tx)) => return Ok(tx),
                Ok(TenantForJob::Closed(tx)) if step == Step::Ends => return Ok(tx),
                Ok(TenantForJob::Closed(_)) => return Err(JobError::later(CLOSED, "the dealership is closed").into()),
                Ok(TenantForJob::Gone) => return Err(AttemptError::Pointless("the dealership is gone".to_owned())),
                Err(error @ db::Error::Unavailable(_)) => sleep(retry_log.pause(&error)).await,
                Err(refused) => return Err(failed(refused)),
            }
        }
    }

    /// An attempt with the time it may take. A panic fails it, and nothing else.
    pub(super) async fn contained<T, E: Into<AttemptError>>(
        &self,
        job: &ClaimedJob,
        limit: Duration,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Result<T, AttemptError> {
        let attempt = timeout(limit, AssertUnwindSafe(attempt).catch_unwind());
        match self.db.unless_vanished(attempt).await.map_err(failed)? {
            Ok(Ok(outcome)) => outcome.map_err(Into::into),
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

fn failed(error: db::Error) -> AttemptError {
    AttemptError::Failed(error.into())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
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
