use std::time::Duration;

use common::{
    db::TenantTx,
    jobs::NotifyPeople,
    notifications::{self, Bundled, By},
};

use crate::{JobContext, JobError, TenantJob};

impl TenantJob for NotifyPeople {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        // What nobody sends today must not come in a heap when somebody does.
        if context.outgoing.email.is_none() {
            notifications::forget(tx, By::Email).await?;
        }
        if context.outgoing.sms.is_none() {
            notifications::forget(tx, By::Sms).await?;
        }
        let Bundled { mails, texts } = notifications::bundle(tx).await?;
        tracing::info!(mails, texts, "told people of the dealership what happened");
        Ok(())
    }
}
