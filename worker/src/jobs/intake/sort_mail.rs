use std::time::Duration;

use common::{
    answers::{
        AssistantReply,
        prompt::sorting::{self, Sorted},
    },
    clock::Clock,
    db::TenantTx,
    intake::{self, SortRequest},
    jobs::SortMail,
};

use super::read_inquiry::{tell, to_job_error};
use crate::{JobContext, JobError, NetworkJob, Services, jobs::answers::asking::ask};

impl NetworkJob for SortMail {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<SortRequest>;
    type Answer = Box<(SortRequest, AssistantReply<Option<Sorted>>)>;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let now = Clock::system().now();
        let asked = intake::prepare_sorting(tx, self.delivery_id, context.has_assistant(), now).await;
        Ok(asked.map_err(to_job_error)?.map(Box::new))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<Self::Answer, JobError> {
        let came_back = ask(services, sorting::sort(&loaded.mail), loaded.until, sorting::read).await;
        if let AssistantReply::Nothing { reason } = &came_back {
            tracing::warn!(
                delivery_id = self.delivery_id,
                reason,
                "the assistant did not sort a mail; it stays parked"
            );
        }
        Ok(Box::new(((**loaded).clone(), came_back)))
    }

    async fn save(&self, answer: Self::Answer, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let (asked, came_back) = *answer;
        let settled = intake::finish_sorting(tx, self.delivery_id, asked, came_back).await.map_err(to_job_error)?;
        if settled.is_some() {
            tell(self.delivery_id, context, settled);
        }
        Ok(())
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        intake::give_up_sorting(tx, self.delivery_id, reason).await.map_err(to_job_error)
    }
}
