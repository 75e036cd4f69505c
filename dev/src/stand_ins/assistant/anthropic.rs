//! <https://platform.claude.com/docs/en/api/messages>

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    server::{Assistant, Failure},
    writer::End,
};
use crate::random;

const VERSION: &str = "2026-10-21";

pub(super) async fn messages(State(assistant): State<Assistant>, headers: HeaderMap, body: String) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("x-api-key") != Some(assistant.key()) {
        return error(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key", None);
    }
    if header("anthropic-version") != Some(VERSION) {
        return invalid("anthropic-version: the stand-in knows 2026-10-21");
    }
    let request: Value = match serde_json::from_str(&body) {
        Ok(request) => request,
        Err(_) => return invalid("the request body is not valid JSON"),
    };
    if let Some(words) = refused(&request) {
        return invalid(&words);
    }
    let user = last_text(&request);
    match assistant.write(&user).await {
        Ok(written) => {
            let stop = match written.end {
                End::Finished => "end_turn",
                End::Cut => "max_tokens",
                End::Refused => "refusal",
            };
            let content =
                if written.text.is_empty() { vec![] } else { vec![json!({ "type": "text", "text": written.text })] };
            let usage = json!({ "input_tokens": body.len() / 4, "output_tokens": written.text.len() / 4,
                "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0 });
            let id = random::clerk_id("msg");
            Json(
                json!({ "id": id, "type": "message", "role": "assistant", "model": request["model"], "content": content,
                "stop_reason": stop, "stop_sequence": null, "usage": usage }),
            )
            .into_response()
        }
        Err(failure) => failed(&failure),
    }
}

/// What is wrong with a request.
fn refused(request: &Value) -> Option<String> {
    let gone = ["temperature", "top_p", "top_k"].into_iter().find(|name| request.get(name).is_some());
    if let Some(name) = gone {
        return Some(format!("{name}: is no longer supported"));
    }
    let missing = ["model", "max_tokens", "messages"].into_iter().find(|name| request.get(name).is_none());
    if let Some(name) = missing {
        return Some(format!("{name}: Field required"));
    }
    let last = request["messages"].as_array().and_then(|all| all.last());
    (last.is_none_or(|last| last["role"] != "user")).then(|| "messages: the last one must be the user's".to_owned())
}

/// What the user says last.
pub(super) fn last_text(request: &Value) -> String {
    let content = &request["messages"].as_array().and_then(|all| all.last()).unwrap_or(&Value::Null)["content"];
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn failed(failure: &Failure) -> Response {
    match failure {
        Failure::Down => {
            let status = StatusCode::from_u16(529).expect("it is between 100 and 999");
            error(status, "overloaded_error", "Overloaded", None)
        }
        Failure::Busy { seconds } => {
            let answer = error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "Too many requests", None);
            ([("retry-after", seconds.to_string())], answer).into_response()
        }
        Failure::Capped => {
            let words = "You have reached your specified API usage limits";
            error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", words, Some("enforced_spend_limit_reached"))
        }
    }
}

fn invalid(words: &str) -> Response {
    error(StatusCode::BAD_REQUEST, "invalid_request_error", words, None)
}

fn error(status: StatusCode, kind: &str, words: &str, code: Option<&str>) -> Response {
    let mut error = json!({ "type": kind, "message": words });
    if let Some(code) = code {
        error["details"] = json!({ "error_code": code });
    }
    let request_id = random::clerk_id("req");
    (status, Json(json!({ "type": "error", "error": error, "request_id": request_id }))).into_response()
}
