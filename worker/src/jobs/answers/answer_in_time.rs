use std::time::Duration;

use common::{answers, db::TenantTx, jobs::AnswerInTime};

use super::write_answer::to_job_error;
use crate::{JobContext, JobError, TenantJob};

impl TenantJob for AnswerInTime {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let why = "the assistant did not answer in time";
        answers::answer_without(tx, self.lead_id, self.turn, context.means(), why).await.map_err(to_job_error)
    }
}
