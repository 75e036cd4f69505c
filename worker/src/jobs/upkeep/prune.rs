use std::time::Duration;

use common::{db::Db, deliveries, idempotency, jobs::Prune, lead_sources, queue};

use crate::{IdempotentJob, JobContext, JobError, Services};

/// How long finished jobs are kept.
const JOBS: Duration = Duration::from_hours(7 * 24);
/// How long processed deliveries are kept: as long as they can be replayed, and longer than Svix sends one again.
const DELIVERIES: Duration = Duration::from_hours(90 * 24);
/// How long a client that does not know what became of its request may repeat it.
const ANSWERS: Duration = Duration::from_hours(24);

impl IdempotentJob for Prune {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, _: &JobContext, db: &Db, _: &Services) -> Result<(), JobError> {
        let jobs = queue::prune(db, queue::Over::Finished, JOBS).await?;
        let deliveries = deliveries::prune(db, DELIVERIES).await?;
        let answers = idempotency::prune(db, ANSWERS).await?;
        let erased = deliveries::forget_waiting(db, DELIVERIES).await?;
        lead_sources::forget_logins(db).await?;
        if erased > 0 {
            tracing::warn!(erased, "erased the content of deliveries that nobody has looked at for months");
        }
        if jobs > 0 || deliveries > 0 || answers > 0 {
            tracing::info!(jobs, deliveries, answers, "pruned what was over long ago");
        }
        Ok(())
    }
}
