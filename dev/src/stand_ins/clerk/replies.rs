//! What a person is told about a change.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{Membership, server::Clerk};

/// A pasted command should tell what became of its webhooks, without waiting for retries.
const FIRST_ATTEMPT: Duration = Duration::from_secs(3);
/// Longer than any job should have to wait.
const ACCESS_WITHIN: Duration = Duration::from_secs(5);

/// A membership, and how to be that person.
pub(super) fn about_member(clerk: &Clerk, membership: &Membership) -> Value {
    let user = clerk.read(|instance| instance.user(&membership.user_id).ok().and_then(|user| user.email.clone()));
    let user = user.as_ref().unwrap_or(&membership.user_id);
    let organization = &membership.organization_id;
    json!({
        "user": membership.user_id,
        "organization": organization,
        "membership": membership.id,
        "role": membership.role,
        "token": format!("curl -s '{}/token?user={user}&org={organization}'", clerk.url()),
    })
}

/// Waits until the backend lets the new member in, so that whatever comes next finds them there: between the webhook
/// and its effect lies a queue. Says what came of it, if there is a backend to ask.
pub(super) async fn access(clerk: &Clerk, membership: &Membership) -> Option<&'static str> {
    let me = format!("{}/api/v1/me", clerk.api()?);
    let client = reqwest::Client::builder().no_proxy().timeout(ACCESS_WITHIN).build().ok()?;
    let session = clerk.session_token(&membership.user_id, Some(&membership.organization_id)).ok()?;
    let token = session.mint(&clerk.key());
    let let_in = async {
        while !client.get(&me).bearer_auth(&token).send().await.is_ok_and(|answer| answer.status().is_success()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    Some(match timeout(ACCESS_WITHIN, let_in).await {
        Ok(()) => "the API lets them in",
        Err(_) => "the API does not let them in yet; is the worker running?",
    })
}

/// Adds to a reply what became of the events: the outcome of the first attempt to deliver each.
pub(super) async fn reply(clerk: &Clerk, status: StatusCode, mut about: Value, numbers: Vec<usize>) -> Response {
    let mut sent = Vec::new();
    for number in numbers {
        let tried = timeout(FIRST_ATTEMPT, clerk.webhooks().first_attempt(number)).await.ok().flatten();
        let Some(delivery) = tried.or_else(|| clerk.webhooks().delivery(number)) else { continue };
        let outcome = delivery.attempts.first().map_or("not answered yet", |attempt| &attempt.outcome);
        sent.push(json!({ "type": delivery.kind, "svix_id": delivery.svix_id, "outcome": outcome }));
    }
    about["sent"] = json!(sent);
    let text = serde_json::to_string_pretty(&about).unwrap_or_default() + "\n";
    (status, [("content-type", "application/json")], text).into_response()
}
