//! The assistant is asked, as long as there is time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use common::{
    answers::{AssistantReply, prompt::Prompt},
    clock::Clock,
    telemetry::error_chain,
};
use integrations::assistant::{Assistant, AssistantError, Question, Written};

use crate::Services;

/// How often the assistant is asked for one text.
const TRIES: u32 = 2;
/// What the assistant may write, thoughts included.
const MAX_TOKENS: u32 = 4_000;
/// Less than this before the end, asking is pointless.
const WORTH_ASKING: Duration = Duration::from_secs(5);

/// Asks until there is something to judge, which is told whether the assistant came to an end by itself.
pub(in crate::jobs) async fn ask<Verdict>(
    services: &Services,
    prompt: Prompt,
    until: DateTime<Utc>,
    judge: impl FnOnce(&str, bool) -> Verdict,
) -> AssistantReply<Verdict> {
    let Some(assistant) = &services.assistant else {
        return AssistantReply::Nothing { reason: "there is no assistant".to_owned() };
    };
    match written(assistant, prompt, until).await {
        Err(reason) => AssistantReply::Nothing { reason },
        Ok(Written { text, finished, model, input_tokens, output_tokens, .. }) => {
            let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
            let verdict = judge(&text, finished);
            AssistantReply::Written { text, model, tokens: (count(input_tokens), count(output_tokens)), verdict }
        }
    }
}

/// What it wrote, or why nothing.
async fn written(assistant: &Arc<dyn Assistant>, prompt: Prompt, until: DateTime<Utc>) -> Result<Written, String> {
    let Prompt { system, user, schema } = prompt;
    let question = Question { system: system.to_owned(), user, schema, max_tokens: MAX_TOKENS };
    let mut reason = "there was no time left to ask".to_owned();
    for _ in 0..TRIES {
        let left = (until - Clock::system().now()).to_std().unwrap_or_default();
        if left < WORTH_ASKING {
            break;
        }
        match tokio::time::timeout(left, assistant.ask(&question)).await {
            Ok(Ok(written)) => return Ok(written),
            Ok(Err(error)) => {
                reason = error_chain(&error);
                if !is_worth_repeating(&error) {
                    break;
                }
            }
            Err(_) => "the assistant did not answer in time".clone_into(&mut reason),
        }
    }
    Err(reason)
}

fn is_worth_repeating(error: &AssistantError) -> bool {
    match error {
        AssistantError::Unreachable(_) => true,
        AssistantError::Busy { after } => *after < WORTH_ASKING,
        AssistantError::Capped | AssistantError::Refused(_) | AssistantError::Misconfigured(_) => false,
    }
}
