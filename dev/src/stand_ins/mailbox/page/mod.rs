//! The page for people, and the same for programs.

mod actions;
mod detail;
mod layout;
mod list;
mod phone;
mod switches;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{Message, server::Mailbox};
use layout::{Shown, page};

pub(super) fn router() -> Router<Mailbox> {
    Router::new()
        .route("/", get(newest))
        .route("/messages", get(messages))
        .route("/messages/{id}", get(message))
        .route("/messages/{id}/reply", post(actions::reply))
        .route("/messages/{id}/deliver", post(actions::deliver))
        .route("/messages/{id}/bounce", post(actions::bounce))
        .route("/messages/{id}/complain", post(actions::complain))
        .route("/clear", post(actions::clear))
        .route("/faults", post(actions::set_fault))
        .route("/faults/end", post(actions::end_fault))
        .route("/changes", get(changes))
        .route("/script.js", get(script))
}

/// What of a mail is shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum View {
    #[default]
    Mail,
    Text,
    Headers,
    Raw,
}

#[derive(Deserialize)]
struct Look {
    #[serde(default)]
    view: View,
}

async fn newest(State(mailbox): State<Mailbox>, Query(look): Query<Look>) -> Response {
    let messages = mailbox.store().all();
    let newest = messages.last();
    let newest = newest.map(|message| Shown { message, view: look.view, is_chosen: false });
    page(&mailbox, &messages, newest.as_ref())
}

async fn message(State(mailbox): State<Mailbox>, Path(id): Path<u64>, Query(look): Query<Look>) -> Response {
    let messages = mailbox.store().all();
    match messages.iter().find(|message| message.id == id) {
        Some(message) => page(&mailbox, &messages, Some(&Shown { message, view: look.view, is_chosen: true })),
        None => (StatusCode::NOT_FOUND, page(&mailbox, &messages, None)).into_response(),
    }
}

/// For programs, newest first.
async fn messages(State(mailbox): State<Mailbox>) -> Json<Vec<Message>> {
    let mut messages = mailbox.store().all();
    messages.reverse();
    Json(messages)
}

#[derive(Deserialize)]
struct Since {
    seen: u64,
}

/// Answers when there is something new.
async fn changes(State(mailbox): State<Mailbox>, Query(since): Query<Since>) -> String {
    mailbox.changed_since(since.seen).await.to_string()
}

async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("script.js"))
}
