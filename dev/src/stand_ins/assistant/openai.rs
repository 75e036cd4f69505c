//! <https://platform.openai.com/docs/api-reference/chat>

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    anthropic::last_text,
    server::{Assistant, Failure},
    writer::End,
};
use crate::random;

pub(super) async fn completions(State(assistant): State<Assistant>, headers: HeaderMap, body: String) -> Response {
    // Local servers want no key.
    let given = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    if given.is_some_and(|given| given.strip_prefix("Bearer ") != Some(assistant.key())) {
        return error(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided",
        );
    }
    let Ok(request) = serde_json::from_str::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_json", "the body is not JSON");
    };
    match assistant.write(&last_text(&request)).await {
        Ok(written) => {
            let (reason, refusal) = match written.end {
                End::Finished => ("stop", None),
                End::Cut => ("length", None),
                End::Refused => ("stop", Some("I can't help with that.")),
            };
            let content = refusal.is_none().then_some(&written.text);
            let message = json!({ "role": "assistant", "content": content, "refusal": refusal });
            let (prompt, completion) = (body.len() / 4, written.text.len() / 4);
            let usage = json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion });
            Json(json!({
                "id": random::clerk_id("chatcmpl"), "object": "chat.completion", "created": 0, "model": request["model"],
                "choices": [{ "index": 0, "message": message, "finish_reason": reason }], "usage": usage,
            }))
            .into_response()
        }
        Err(Failure::Down) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "server_error", "overloaded", "The engine is currently overloaded")
        }
        Err(Failure::Busy { seconds }) => {
            let words = "Rate limit reached";
            let answer = error(StatusCode::TOO_MANY_REQUESTS, "requests", "rate_limit_exceeded", words);
            ([("retry-after", seconds.to_string())], answer).into_response()
        }
        Err(Failure::Capped) => {
            let words = "You exceeded your current quota";
            error(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", words)
        }
    }
}

fn error(status: StatusCode, kind: &str, code: &str, words: &str) -> Response {
    let error = json!({ "message": words, "type": kind, "param": null, "code": code });
    (status, Json(json!({ "error": error }))).into_response()
}
