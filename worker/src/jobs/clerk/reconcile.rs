use std::time::Duration;

use common::{
    clerk::{Drift, ReconcileError, Reconciliation, reconcile},
    db::Db,
    jobs::ReconcileClerk,
};

use crate::{IdempotentJob, JobContext, JobError, Services};

impl IdempotentJob for ReconcileClerk {
    const TIMEOUT: Duration = Duration::from_hours(1);

    async fn perform(self, _: &JobContext, db: &Db, services: &Services) -> Result<(), JobError> {
        let Some(clerk) = &services.clerk else { return Err(JobError::retry("CLERK_SECRET_KEY is not set")) };
        let Drift { news, effects, skipped, missing, .. } =
            reconcile(db, clerk, Reconciliation::default()).await.map_err(to_job_error)?;
        tracing::info!(
            objects = news,
            effects = effects.len(),
            missing,
            "compared with Clerk, and imported what differed"
        );
        for effect in effects {
            tracing::warn!(%effect, "repaired what no webhook had said");
        }
        for object in skipped {
            let (listing, reason) = (object.listing, object.reason);
            tracing::warn!(listing, reason, "skipped an object of Clerk's that cannot be read");
        }
        Ok(())
    }
}

/// What an operator has to decide is dead; everything else may pass.
fn to_job_error(error: ReconcileError) -> JobError {
    if error.is_refusal() {
        tracing::error!(%error, "the reconciliation with Clerk was refused");
        return JobError::dead(error);
    }
    match error {
        ReconcileError::Db(error) => error.into(),
        error => JobError::retry(error),
    }
}
