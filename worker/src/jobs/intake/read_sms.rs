use std::time::Duration;

use common::{db::TenantTx, deliveries::Source, intake::process_sms, jobs::ReadSms};

use super::read_inquiry::to_job_error;
use crate::{JobContext, JobError, TenantJob};

impl TenantJob for ReadSms {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        if let Some(status) = process_sms(tx, self.delivery_id).await.map_err(to_job_error)? {
            context.count(Source::Sms, status);
        }
        Ok(())
    }
}
