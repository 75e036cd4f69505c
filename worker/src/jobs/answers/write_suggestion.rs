use std::time::Duration;

use common::{
    answers::{
        self, AssistantReply, SuggestionKey, SuggestionRequest,
        gate::{self, Suggested},
        prompt::suggestion,
    },
    clock::Clock,
    db::TenantTx,
    jobs::WriteSuggestion,
};

use super::asking::ask;
use crate::{JobContext, JobError, NetworkJob, Services};

impl NetworkJob for WriteSuggestion {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<SuggestionRequest>;
    type Answer = Box<(SuggestionRequest, AssistantReply<Result<Suggested, gate::Reason>>)>;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let now = Clock::system().now();
        let asked = answers::prepare_suggestion(tx, key(self), context.has_assistant(), now).await?;
        Ok(asked.map(Box::new))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<Self::Answer, JobError> {
        let facts = &loaded.correspondence.facts;
        let look_at = |text: &str, finished| gate::look_at(text, finished, facts);
        let came_back = ask(services, suggestion::suggest(&loaded.correspondence), loaded.until, look_at).await;
        if let AssistantReply::Nothing { reason } = &came_back {
            tracing::warn!(lead_id = %self.lead_id, reason, "the assistant suggested nothing");
        }
        Ok(Box::new(((**loaded).clone(), came_back)))
    }

    async fn save(&self, answer: Self::Answer, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let (asked, came_back) = *answer;
        Ok(answers::finish_suggestion(tx, key(self), &asked, came_back).await?)
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        Ok(answers::give_up_suggestion(tx, key(self), reason).await?)
    }
}

fn key(job: &WriteSuggestion) -> SuggestionKey {
    SuggestionKey { lead: job.lead_id, turn: job.turn }
}
