use std::time::Duration;

use common::{
    answers::{self, AnswerError, AnswerRequest, AssistantReply, gate, prompt},
    db::TenantTx,
    jobs::WriteAnswer,
};

use super::asking::ask;
use crate::{JobContext, JobError, NetworkJob, Services};

impl NetworkJob for WriteAnswer {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<AnswerRequest>;
    type Answer = Box<(AnswerRequest, AssistantReply)>;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let asked = answers::prepare(tx, self.lead_id, self.turn, context.means()).await.map_err(to_job_error)?;
        Ok(asked.map(Box::new))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<Self::Answer, JobError> {
        let judge = |text: &str, finished| gate::judge(text, finished, &loaded.facts);
        let came_back = ask(services, prompt::ask(&loaded.facts), loaded.due_at, judge).await;
        if let AssistantReply::Nothing { reason } = &came_back {
            tracing::warn!(lead_id = %self.lead_id, reason, "the assistant wrote nothing; the template answers");
        }
        Ok(Box::new(((**loaded).clone(), came_back)))
    }

    async fn save(&self, answer: Self::Answer, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let (asked, came_back) = *answer;
        let finished = answers::finish(tx, self.lead_id, self.turn, context.means(), &asked.facts, came_back).await;
        finished.map_err(to_job_error)
    }

    async fn dead(&self, reason: &str, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let answered = answers::answer_without(tx, self.lead_id, self.turn, context.means(), reason).await;
        answered.map_err(to_job_error)
    }
}

pub(super) fn to_job_error(error: AnswerError) -> JobError {
    match error {
        AnswerError::Db(error) => error.into(),
        error @ AnswerError::Write(_) => JobError::retry(error),
    }
}
