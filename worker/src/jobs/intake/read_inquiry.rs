use std::time::Duration;

use common::{
    db::TenantTx,
    deliveries::{ProcessError, Source, Status, settle_own},
    intake::{self, IntakeError, ReadError, Settled},
    jobs::ReadInquiry,
};

use crate::{JobContext, JobError, TenantJob};

impl TenantJob for ReadInquiry {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let settled = intake::process(tx, self.delivery_id, context.has_assistant()).await.map_err(to_job_error)?;
        tell(self.delivery_id, context, settled);
        Ok(())
    }
}

/// What became of a delivery, for operators.
pub(in crate::jobs) fn tell(delivery_id: i64, context: &JobContext, settled: Option<Settled>) {
    if let Some(Settled { source, status, outcome }) = settled {
        context.count(source, status);
        tracing::info!(delivery_id, status = status.as_str(), outcome, "read what came in");
    } else {
        tracing::info!(delivery_id, "what came in had been read before");
    }
}

/// Leaves a delivery to a person.
pub(in crate::jobs) async fn set_aside(
    tx: &mut TenantTx,
    context: &JobContext,
    source: Source,
    id: i64,
    reason: &str,
) -> Result<(), JobError> {
    settle_own(tx, id, Status::Parked, reason, &[]).await?;
    context.count(source, Status::Parked);
    Ok(())
}

pub(in crate::jobs) fn to_job_error(error: ReadError) -> JobError {
    match error {
        ReadError::Db(error)
        | ReadError::Process(ProcessError::Db(error))
        | ReadError::Intake(IntakeError::Db(error)) => error.into(),
        error @ (ReadError::Process(ProcessError::Missing) | ReadError::NotHere) => JobError::dead(error),
        error @ ReadError::Intake(_) => JobError::retry(error),
    }
}
