use std::time::Duration;

use common::{db::TenantTx, jobs::WatchLead, notifications};

use crate::{JobContext, JobError, TenantJob};

impl TenantJob for WatchLead {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        if notifications::tell_if_unanswered(tx, self.lead_id).await? {
            tracing::info!(lead = %self.lead_id, "no person has answered a lead in time");
        }
        Ok(())
    }
}
