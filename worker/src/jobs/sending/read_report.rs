use std::time::Duration;

use common::{
    db::TenantTx,
    deliveries::{ProcessError, Source},
    jobs::ReadReport,
    outbox::process_reports,
};

use crate::{JobContext, JobError, TenantJob};

impl TenantJob for ReadReport {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let settled = process_reports(tx, self.delivery_id).await.map_err(|error| match error {
            ProcessError::Db(error) => error.into(),
            error @ ProcessError::Missing => JobError::dead(error),
        })?;
        if let Some(status) = settled {
            context.count(Source::Report, status);
        }
        Ok(())
    }
}
