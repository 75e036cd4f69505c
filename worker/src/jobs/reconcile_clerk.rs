use std::time::Duration;

use common::{
    clerk::{BackendApi, BackendApiError, ReconcileError, Reconciliation, reconcile},
    db::Db,
    jobs::ReconcileClerk,
};

use crate::{IdempotentJob, JobContext, JobError, Services};

impl IdempotentJob for ReconcileClerk {
    const TIMEOUT: Duration = Duration::from_hours(1);

    async fn perform(self, _: &JobContext, db: &Db, services: &Services) -> Result<(), JobError> {
        // Enqueued by a worker that has the key; this one was started without it.
        let Some(clerk) = &services.clerk else { return Err(JobError::retry("CLERK_SECRET_KEY is not set")) };
        let api = BackendApi::of(clerk).await.map_err(judge)?;
        let drift = reconcile(db, &api, Reconciliation::default()).await.map_err(|error| match error {
            ReconcileError::Clerk(error) => judge(error),
            ReconcileError::Db(error) => error.into(),
            error @ ReconcileError::MassDeletion { .. } => JobError::dead(error),
        })?;
        let (objects, effects) = (drift.news, drift.effects.len());
        tracing::info!(objects, effects, "compared with Clerk, and took over what differed");
        for effect in drift.effects {
            tracing::warn!(%effect, "mended what no webhook had told");
        }
        Ok(())
    }
}

/// An operator has to set another key; everything else may pass.
fn judge(error: BackendApiError) -> JobError {
    match error {
        BackendApiError::WrongKey | BackendApiError::WrongInstance { .. } => JobError::dead(error),
        _ => JobError::retry(error),
    }
}
