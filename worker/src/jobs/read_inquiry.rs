use std::time::Duration;

use common::{
    db::TenantTx,
    deliveries::ProcessError,
    intake::{self, IntakeError, ReadError, Settled},
    jobs::ReadInquiry,
};

use crate::{JobContext, JobError, TenantJob};

impl TenantJob for ReadInquiry {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let settled = intake::process(tx, self.delivery_id).await.map_err(to_job_error)?;
        tell(self.delivery_id, settled);
        Ok(())
    }
}

/// What became of a delivery, for operators.
pub(super) fn tell(delivery_id: i64, settled: Option<Settled>) {
    if let Some(Settled { status, outcome }) = settled {
        tracing::info!(delivery_id, status = status.as_str(), outcome, "read what came in");
    } else {
        tracing::info!(delivery_id, "what came in had been read before");
    }
}

pub(super) fn to_job_error(error: ReadError) -> JobError {
    match error {
        ReadError::Db(error)
        | ReadError::Process(ProcessError::Db(error))
        | ReadError::Intake(IntakeError::Db(error)) => error.into(),
        error @ (ReadError::Process(ProcessError::Missing) | ReadError::NotHere) => JobError::dead(error),
        error @ ReadError::Intake(_) => JobError::retry(error),
    }
}
