use std::time::Duration;

use common::{db::Db, jobs::CountLeads, leads};

use crate::{IdempotentJob, JobContext, JobError, Services};

impl IdempotentJob for CountLeads {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, _: &JobContext, db: &Db, _: &Services) -> Result<(), JobError> {
        let steps = leads::count(db).await?;
        if steps > 0 {
            tracing::info!(steps, "counted leads, so that pages need not");
        }
        let adopted = leads::adopt_all(db).await?;
        if adopted > 0 {
            tracing::info!(adopted, "gave leads that were older than their customers' records their customers");
        }
        Ok(())
    }
}
