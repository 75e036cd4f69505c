//! What the buttons do; each also takes JSON, and answers with it.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::REFERER},
    response::{IntoResponse, Redirect, Response},
};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::super::{ActiveFault, Fault, Message, customer::Outcome, server::Mailbox};

#[derive(Deserialize)]
pub(super) struct Answer {
    text: String,
}

#[derive(Deserialize)]
pub(super) struct Ended {
    fault: Fault,
}

pub(super) async fn reply(
    State(mailbox): State<Mailbox>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let Some(message) = find(&mailbox, id) else { return missing() };
    match read::<Answer>(&body) {
        Ok((Answer { text }, _)) if text.trim().is_empty() => back(&headers),
        Ok((Answer { text }, is_json)) => done(mailbox.reply(&message, text.trim()).await, is_json, &headers),
        Err(error) => not_as_expected(&error),
    }
}

pub(super) async fn deliver(State(mailbox): State<Mailbox>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some(message) = find(&mailbox, id) else { return missing() };
    done(mailbox.deliver(&message).await, !headers.contains_key(REFERER), &headers)
}

pub(super) async fn bounce(State(mailbox): State<Mailbox>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some(message) = find(&mailbox, id) else { return missing() };
    done(mailbox.bounce(&message).await, !headers.contains_key(REFERER), &headers)
}

pub(super) async fn complain(State(mailbox): State<Mailbox>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some(message) = find(&mailbox, id) else { return missing() };
    done(mailbox.complain(&message).await, !headers.contains_key(REFERER), &headers)
}

pub(super) async fn clear(State(mailbox): State<Mailbox>) -> Redirect {
    mailbox.store().clear();
    Redirect::to("/")
}

pub(super) async fn set_fault(State(mailbox): State<Mailbox>, headers: HeaderMap, body: String) -> Response {
    match read::<ActiveFault>(&body) {
        Ok((active, is_json)) => {
            mailbox.faults().set(active);
            mailbox.store().changed();
            if is_json { Json(json!({})).into_response() } else { back(&headers) }
        }
        Err(error) => not_as_expected(&error),
    }
}

/// One, or all if none is named.
pub(super) async fn end_fault(State(mailbox): State<Mailbox>, headers: HeaderMap, body: String) -> Response {
    match read::<Ended>(&body) {
        Ok((ended, _)) => mailbox.faults().end(ended.fault),
        Err(_) if body.is_empty() => mailbox.faults().end_all(),
        Err(error) => return not_as_expected(&error),
    }
    mailbox.store().changed();
    back(&headers)
}

fn find(mailbox: &Mailbox, id: u64) -> Option<Message> {
    mailbox.store().find(|message| message.id == id)
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "there is no such message\n").into_response()
}

/// JSON, whatever the content type says, since `curl -d` calls it a form; else a form. Says which.
fn read<T: DeserializeOwned>(body: &str) -> Result<(T, bool), serde_json::Error> {
    let is_json = body.trim_start().starts_with('{');
    let members = if is_json {
        serde_json::from_str(body)
    } else {
        let pairs = form_urlencoded::parse(body.as_bytes());
        serde_json::from_value(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    };
    members.map(|members| (members, is_json))
}

fn not_as_expected(error: &serde_json::Error) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("the body is not as expected: {error}\n")).into_response()
}

fn done(outcome: Outcome, is_json: bool, headers: &HeaderMap) -> Response {
    if !is_json {
        // The history of the message says what came of it.
        return back(headers);
    }
    match outcome {
        Ok(status) => Json(json!({ "answer": status.to_string() })).into_response(),
        Err(words) => (StatusCode::BAD_GATEWAY, Json(json!({ "answer": words }))).into_response(),
    }
}

/// To the page that the button is on.
fn back(headers: &HeaderMap) -> Response {
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok()).and_then(|url| Url::parse(url).ok());
    let path = referer.map(|url| url.path().to_owned()).filter(|path| !path.starts_with("//"));
    Redirect::to(path.as_deref().unwrap_or("/")).into_response()
}
