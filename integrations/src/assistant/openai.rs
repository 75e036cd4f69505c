//! The chat completions of `OpenAI`, which many others and local servers speak too.
//! <https://platform.openai.com/docs/api-reference/chat/create>

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

/// With the version, as all who speak this say it.
pub const DEFAULT_URL: &str = "https://api.openai.com/v1";

#[derive(Debug)]
pub struct OpenAi {
    http: Client,
    url: Url,
    key: Option<Secret>,
    model: String,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: String,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

/// Some do not count.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Failed {
    error: Failure,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
    /// Some say numbers.
    #[serde(default)]
    code: Value,
}

impl OpenAi {
    /// Prepares for asking; nothing is asked yet.
    pub fn new(url: &str, key: Option<Secret>, model: impl Into<String>) -> Result<Self, NoProvider> {
        Self::within(url, key, model, TIME_LIMIT)
    }

    pub fn within(
        url: &str,
        key: Option<Secret>,
        model: impl Into<String>,
        time_limit: Duration,
    ) -> Result<Self, NoProvider> {
        let url = send::endpoint(url, "/chat/completions")?;
        Ok(Self { http: crate::http::client(time_limit)?, url, key, model: model.into() })
    }

    async fn written(&self, question: &Question) -> Result<Written, AssistantError> {
        let mut request = self.http.post(self.url.clone()).json(&self.body(question));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let answer = answer::ask(request).await?;
        if !answer.is_success() {
            return Err(failure(&answer));
        }
        let completion: Completion = serde_json::from_slice(&answer.body).map_err(|_| Answer::unreadable())?;
        completion.written().ok_or_else(Answer::unreadable)
    }

    fn body(&self, question: &Question) -> Value {
        // OpenAI itself takes only the newer name, many others only the older one.
        let is_original = self.url.host_str() == Some("api.openai.com");
        let limit = if is_original { "max_completion_tokens" } else { "max_tokens" };
        json!({
            "model": self.model,
            limit: question.max_tokens,
            "messages": [
                { "role": "system", "content": question.system },
                { "role": "user", "content": question.user },
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": "answer", "strict": true, "schema": question.schema },
            },
        })
    }
}

impl Completion {
    fn written(self) -> Option<Written> {
        let Choice { message: Message { content, refusal }, finish_reason } = self.choices.into_iter().next()?;
        let was_refused = refusal.is_some_and(|words| !words.is_empty());
        let text = storable(content.unwrap_or_default());
        let stop = if was_refused { "refusal".to_owned() } else { finish_reason.unwrap_or_default() };
        Some(Written {
            finished: stop == "stop" && !text.is_empty(),
            text,
            stop,
            model: self.model,
            input_tokens: self.usage.prompt_tokens,
            output_tokens: self.usage.completion_tokens,
        })
    }
}

fn failure(answer: &Answer) -> AssistantError {
    let Ok(Failed { error }) = serde_json::from_slice(&answer.body) else { return answer.failure("") };
    match error.code.as_str() {
        Some("insufficient_quota" | "billing_hard_limit_reached") => AssistantError::Capped,
        _ => answer.failure(&error.message),
    }
}

impl Assistant for OpenAi {
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

    fn client(url: &str, key: Option<Secret>) -> OpenAi {
        OpenAi::within(&format!("{url}/v1"), key, "llama", Duration::from_secs(2)).expect("a client")
    }

    fn completion(message: &Value, stop: &str) -> String {
        let choice = json!({ "index": 0, "message": message, "finish_reason": stop });
        let usage = json!({ "prompt_tokens": 41, "completion_tokens": 7, "total_tokens": 48 });
        json!({ "id": "c-1", "model": "llama-4", "choices": [choice], "usage": usage }).to_string()
    }

    #[tokio::test]
    async fn a_question_is_asked() {
        let answer = completion(&json!({ "role": "assistant", "content": "{\"reply\":\u{0}\"Hei\"}" }), "stop");
        let mut stub = Stub::answering(200, &[], &answer).await;
        let written = client(&stub.url, Some(Secret::new("sk-key"))).ask(&question()).await.expect("it answers");
        let expected = Written {
            text: r#"{"reply":"Hei"}"#.into(),
            finished: true,
            stop: "stop".into(),
            model: "llama-4".into(),
            input_tokens: 41,
            output_tokens: 7,
        };
        assert_eq!(written, expected);
        let seen = stub.seen().await;
        assert_eq!((seen.line.as_str(), seen.header("authorization")), ("POST /v1/chat/completions", "Bearer sk-key"));
        let schema = json!({ "name": "answer", "strict": true, "schema": question().schema });
        let expected = json!({
            "model": "llama",
            "max_tokens": 3000,
            "messages": [
                { "role": "system", "content": "Answer." },
                { "role": "user", "content": "{\"customer\":\"Hei!\"}" },
            ],
            "response_format": { "type": "json_schema", "json_schema": schema },
        });
        assert_eq!(seen.json(), expected);
        client(&stub.url, None).ask(&question()).await.expect("it answers");
        assert_eq!(stub.seen().await.header("authorization"), "");
        let original = OpenAi::new(DEFAULT_URL, None, "gpt").expect("a client").body(&question());
        assert_eq!(original["max_completion_tokens"], 3000);
    }

    #[tokio::test]
    async fn what_did_not_end_by_itself_is_not_finished() {
        for (message, stop, told) in [
            (json!({ "content": "{" }), "length", "length"),
            (json!({ "content": "{" }), "content_filter", "content_filter"),
            (json!({ "content": null, "refusal": "I cannot" }), "stop", "refusal"),
            (json!({ "content": "" }), "stop", "stop"),
        ] {
            let stub = Stub::answering(200, &[], &completion(&message, stop)).await;
            let written = client(&stub.url, None).ask(&question()).await.expect("it answers");
            assert_eq!((written.finished, written.stop.as_str()), (false, told));
        }
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url, None).ask(&question()).await).await;
        for (status, body, expected) in [
            (429, r#"{"error":{"message":"Slow down","code":"rate_limit_exceeded"}}"#, "Busy { after: 10s }"),
            (429, r#"{"error":{"message":"Pay","code":"insufficient_quota"}}"#, "Capped"),
            (
                404,
                r#"{"error":{"message":"no such model","code":"model_not_found"}}"#,
                "Misconfigured(\"404 no such model",
            ),
            (400, r#"{"error":{"message":"bad schema","code":400}}"#, "Refused(\"400 bad schema"),
            (200, r#"{"choices":[]}"#, "Unreachable("),
        ] {
            let stub = Stub::answering(status, &[], body).await;
            let found = format!("{:?}", client(&stub.url, None).ask(&question()).await.expect_err(body));
            assert!(found.starts_with(expected), "{body}: {found}");
        }
    }
}
