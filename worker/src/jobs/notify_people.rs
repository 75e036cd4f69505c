use std::time::Duration;

use common::{db::TenantTx, jobs::NotifyPeople, notifications};

use crate::{JobContext, JobError, TenantJob};

impl TenantJob for NotifyPeople {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        if context.outgoing.email.is_none() {
            // What nobody sends today must not come in a heap when somebody does.
            notifications::forget(tx).await?;
            return Ok(());
        }
        let mails = notifications::bundle(tx).await?;
        tracing::info!(mails, "told people of the dealership what happened");
        Ok(())
    }
}
