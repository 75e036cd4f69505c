//! Anthropic's Messages API. <https://platform.claude.com/docs/en/api/messages>

use std::time::Duration;

use common::secrets::Secret;
use futures::future::BoxFuture;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Assistant, AssistantError, NoProvider, Question, TIME_LIMIT, Written,
    answer::{self, Answer, storable},
};
use crate::send;

pub const DEFAULT_URL: &str = "https://api.anthropic.com";
/// The version that we know: it takes no `temperature`.
const VERSION: &str = "2026-10-21";

#[derive(Debug)]
pub struct Anthropic {
    http: Client,
    url: Url,
    key: Secret,
    model: String,
}

#[derive(Deserialize)]
struct Message {
    model: String,
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Usage,
}

/// Thoughts and others may stand before the text.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
}

/// <https://platform.claude.com/docs/en/api/errors>
#[derive(Deserialize)]
struct Failed {
    error: Failure,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    error_code: Option<String>,
}

impl Anthropic {
    /// Prepares for asking; nothing is asked yet.
    pub fn new(url: &str, key: Secret, model: impl Into<String>) -> Result<Self, NoProvider> {
        Self::within(url, key, model, TIME_LIMIT)
    }

    pub fn within(url: &str, key: Secret, model: impl Into<String>, time_limit: Duration) -> Result<Self, NoProvider> {
        let url = send::endpoint(url, "/v1/messages")?;
        Ok(Self { http: crate::http::client(time_limit)?, url, key, model: model.into() })
    }

    async fn written(&self, question: &Question) -> Result<Written, AssistantError> {
        let request = self.http.post(self.url.clone()).header("x-api-key", self.key.expose());
        let request = request.header("anthropic-version", VERSION).json(&self.body(question));
        let answer = answer::ask(request).await?;
        if !answer.is_success() {
            return Err(failure(&answer));
        }
        let message: Message = serde_json::from_slice(&answer.body).map_err(|_| Answer::unreadable())?;
        Ok(message.into())
    }

    /// Thinking counts as written, so that an effort beyond low would leave little room for the text.
    fn body(&self, question: &Question) -> Value {
        json!({
            "model": self.model,
            "max_tokens": question.max_tokens,
            "system": question.system,
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": question.user }] }],
            "output_config": {
                "effort": "low",
                "format": { "type": "json_schema", "schema": question.schema },
            },
        })
    }
}

impl From<Message> for Written {
    fn from(message: Message) -> Self {
        let Message { model, content, stop_reason, usage: Usage { input_tokens, output_tokens } } = message;
        let texts = content.into_iter().filter_map(|block| match block {
            Block::Text { text } => Some(text),
            Block::Other => None,
        });
        let text = storable(texts.collect());
        let stop = stop_reason.unwrap_or_default();
        Self { finished: stop == "end_turn" && !text.is_empty(), text, stop, model, input_tokens, output_tokens }
    }
}

fn failure(answer: &Answer) -> AssistantError {
    let Ok(Failed { error }) = serde_json::from_slice(&answer.body) else { return answer.failure("") };
    let code = error.details.and_then(|details| details.error_code);
    // The limit that the account's owner has set comes as an invalid request, with nothing but its words.
    let is_capped = code.as_deref() == Some("enforced_spend_limit_reached")
        || error.message.to_ascii_lowercase().contains("specified api usage limits");
    if is_capped { AssistantError::Capped } else { answer.failure(&format!("{}: {}", error.kind, error.message)) }
}

impl Assistant for Anthropic {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Written, AssistantError>> {
        Box::pin(self.written(question))
    }

    fn model(&self) -> &str {
        &self.model
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        assistant::{answer::tests::ordinary_failures, question},
        test_server::Stub,
    };

    fn client(url: &str) -> Anthropic {
        let key = Secret::new("sk-ant-key");
        Anthropic::within(url, key, "claude-haiku-5-5", Duration::from_secs(2)).expect("a client")
    }

    fn message(content: &Value, stop: &str) -> String {
        let usage = json!({ "input_tokens": 41, "output_tokens": 7, "cache_read_input_tokens": 0 });
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5-20261007",
            "content": content, "stop_reason": stop, "usage": usage,
        })
        .to_string()
    }

    #[tokio::test]
    async fn a_question_is_asked_and_only_the_text_is_read() {
        let thought = json!({ "type": "thinking", "thinking": "Hm.", "signature": "x" });
        let content =
            json!([thought, { "type": "text", "text": "{\"reply\":\u{0}" }, { "type": "text", "text": "\"Hei\"}" }]);
        let mut stub = Stub::answering(200, &[], &message(&content, "end_turn")).await;
        let written = client(&stub.url).ask(&question()).await.expect("it answers");
        let expected = Written {
            text: r#"{"reply":"Hei"}"#.into(),
            finished: true,
            stop: "end_turn".into(),
            model: "claude-haiku-5-5-20261007".into(),
            input_tokens: 41,
            output_tokens: 7,
        };
        assert_eq!(written, expected);
        let seen = stub.seen().await;
        assert_eq!((seen.line.as_str(), seen.header("x-api-key")), ("POST /v1/messages", "sk-ant-key"));
        assert_eq!(seen.header("anthropic-version"), "2026-10-21");
        let expected = json!({
            "model": "claude-haiku-5-5",
            "max_tokens": 3000,
            "system": "Answer.",
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "{\"customer\":\"Hei!\"}" }] }],
            "output_config": { "effort": "low", "format": { "type": "json_schema", "schema": question().schema } },
        });
        assert_eq!(seen.json(), expected);
    }

    #[tokio::test]
    async fn what_did_not_end_by_itself_is_not_finished() {
        let text = json!([{ "type": "text", "text": "{\"reply\":\"He" }]);
        for (content, stop, finished) in [
            (&text, "max_tokens", false),
            (&text, "refusal", false),
            (&text, "model_context_window_exceeded", false),
            (&text, "end_turn", true),
            (&json!([{ "type": "thinking", "thinking": "Hm." }]), "end_turn", false),
        ] {
            let stub = Stub::answering(200, &[], &message(content, stop)).await;
            let written = client(&stub.url).ask(&question()).await.expect("it answers");
            assert_eq!((written.finished, written.stop.as_str()), (finished, stop));
        }
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url).ask(&question()).await).await;
        let error = |kind: &str, message: &str, details: Value| {
            json!({ "type": "error", "error": { "type": kind, "message": message, "details": details } }).to_string()
        };
        for (status, body, expected) in [
            (429, error("rate_limit_error", "Later", Value::Null), "Busy { after: 10s }"),
            (
                429,
                error("rate_limit_error", "Spent", json!({ "error_code": "enforced_spend_limit_reached" })),
                "Capped",
            ),
            (
                400,
                error("invalid_request_error", "You have reached your specified API usage limits.", Value::Null),
                "Capped",
            ),
            (
                400,
                error("invalid_request_error", "temperature", Value::Null),
                "Refused(\"400 invalid_request_error: temp",
            ),
            (404, error("not_found_error", "model: claude-x", Value::Null), "Misconfigured(\"404 not_found_error"),
            (529, error("overloaded_error", "Overloaded", Value::Null), "Busy { after: 10s }"),
        ] {
            let stub = Stub::answering(status, &[], &body).await;
            let found = format!("{:?}", client(&stub.url).ask(&question()).await.expect_err(&body));
            assert!(found.starts_with(expected), "{body}: {found}");
        }
    }
}
