use std::{sync::Arc, time::Duration};

use common::{
    answers::{self, AnswerError, Asked, CameBack, gate, prompt},
    clock::Clock,
    db::TenantTx,
    jobs::WriteAnswer,
    telemetry::error_chain,
};
use integrations::assistant::{Assistant, AssistantError, Question, Written};

use crate::{JobContext, JobError, NetworkJob, Services};

/// How often the assistant is asked for one answer.
const TRIES: u32 = 2;
/// What the assistant may write, thoughts included.
const MAX_TOKENS: u32 = 4_000;
/// Less than this before the template's time, asking is pointless.
const WORTH_ASKING: Duration = Duration::from_secs(5);

impl NetworkJob for WriteAnswer {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<Asked>;
    type Answer = Box<(Asked, CameBack)>;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let asked = answers::prepare(tx, self.lead_id, self.turn, context.means()).await.map_err(to_job_error)?;
        Ok(asked.map(Box::new))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<Self::Answer, JobError> {
        let came_back = match &services.assistant {
            Some(assistant) => ask(assistant, loaded).await,
            None => CameBack::Nothing { reason: "there is no assistant".to_owned() },
        };
        if let CameBack::Nothing { reason } = &came_back {
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

/// Asks until there is something to judge, as long as there is time.
async fn ask(assistant: &Arc<dyn Assistant>, asked: &Asked) -> CameBack {
    let prompt = prompt::ask(&asked.facts);
    let question =
        Question { system: prompt.system.to_owned(), user: prompt.user, schema: prompt.schema, max_tokens: MAX_TOKENS };
    let mut reason = "there was no time left to ask".to_owned();
    for _ in 0..TRIES {
        let left = (asked.due_at - Clock::system().now()).to_std().unwrap_or_default();
        if left < WORTH_ASKING {
            break;
        }
        match tokio::time::timeout(left, assistant.ask(&question)).await {
            Ok(Ok(written)) => return judged(written, asked),
            Ok(Err(error)) => {
                reason = error_chain(&error);
                if !is_worth_repeating(&error) {
                    break;
                }
            }
            Err(_) => "the assistant did not answer in time".clone_into(&mut reason),
        }
    }
    CameBack::Nothing { reason }
}

fn judged(written: Written, asked: &Asked) -> CameBack {
    let verdict = gate::judge(&written.text, written.finished, &asked.facts);
    let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let tokens = (count(written.input_tokens), count(written.output_tokens));
    CameBack::Written { text: written.text, model: written.model, tokens, verdict }
}

fn is_worth_repeating(error: &AssistantError) -> bool {
    match error {
        AssistantError::Unreachable(_) => true,
        AssistantError::Busy { after } => *after < WORTH_ASKING,
        AssistantError::Capped | AssistantError::Refused(_) | AssistantError::Misconfigured(_) => false,
    }
}

pub(super) fn to_job_error(error: AnswerError) -> JobError {
    match error {
        AnswerError::Db(error) => error.into(),
        error @ AnswerError::Write(_) => JobError::retry(error),
    }
}
