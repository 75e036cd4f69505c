use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use common::{
    clerk::{self, Receipt},
    config::WebhookSecrets,
    db::Db,
};
use serde_json::{Value, json};
use std::sync::Arc;
use svix::webhooks::{Webhook, WebhookError};

use crate::problem::Problem;

/// Tells authentic webhooks from others. During a rotation several secrets are live.
/// <https://docs.svix.com/receiving/verifying-payloads/how-manual>
pub(crate) struct Signatures(Vec<Webhook>);

impl Signatures {
    pub(crate) fn new(secrets: &WebhookSecrets) -> Result<Self, WebhookError> {
        secrets.iter().map(|secret| Webhook::new(secret.expose())).collect::<Result<_, _>>().map(Self)
    }

    /// The id of an authentic delivery, the same for every attempt. The raw bytes count, before any parsing.
    fn verify<'h>(&self, headers: &'h HeaderMap, body: &[u8]) -> Result<&'h str, Problem> {
        let refusals: Vec<_> = self.0.iter().map_while(|secret| secret.verify(body, headers).err()).collect();
        if refusals.len() == self.0.len() {
            let reasons: Vec<_> = refusals.iter().map(ToString::to_string).collect();
            tracing::warn!(reason = reasons.join("; "), "webhook refused");
            return Err(Problem::invalid_signature());
        }
        // The same header, in the same order of preference, as the one that was verified.
        let id = headers.get("svix-id").or_else(|| headers.get("webhook-id"));
        id.and_then(|id| id.to_str().ok()).ok_or_else(Problem::invalid_signature)
    }
}

/// Takes a webhook of Clerk: once this answers 2xx, the event will have its effect, exactly once.
pub(crate) async fn clerk(
    State(db): State<Db>,
    State(signatures): State<Arc<Signatures>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = body.map_err(|rejection| Problem::of_status(rejection.into_response().status()))?;
    let svix_id = signatures.verify(&headers, &body)?;
    let trace_context = headers.get("traceparent").and_then(|value| value.to_str().ok());
    match clerk::receive(&db, svix_id, &body, trace_context).await? {
        Receipt::Accepted { event_id, event_type } => {
            tracing::info!(svix_id, event_id, event_type, "webhook accepted");
            Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))))
        }
        Receipt::Duplicate => {
            tracing::info!(svix_id, "webhook seen before");
            Ok((StatusCode::OK, Json(json!({ "status": "duplicate" }))))
        }
        Receipt::Ignored { event_type } => {
            tracing::info!(svix_id, event_type, "webhook of a type that is not handled");
            Ok((StatusCode::OK, Json(json!({ "status": "ignored" }))))
        }
        Receipt::Dead { event_id, reason } => {
            tracing::error!(svix_id, event_id, reason, "webhook stored as dead: it does not have the shape of its type");
            Ok((StatusCode::OK, Json(json!({ "status": "dead" }))))
        }
        Receipt::NotJson => {
            tracing::warn!(svix_id, "authentic webhook that is not JSON");
            Err(Problem::unreadable("The body is not JSON."))
        }
    }
}
