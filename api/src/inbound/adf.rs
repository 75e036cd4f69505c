//! ADF documents of portals and other systems.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header},
};
use common::{
    db::EnteredSource,
    deliveries::{NewDelivery, Source, Status, Stored, store},
    inquiry::email::Provider,
    jobs::ReadInquiry,
    lead_sources::SourceKind,
    queue::{NewJob, enqueue},
};
use serde_json::json;

use super::email::MailReceipt;
use crate::{extract::RawBody, openapi::FormProblems, problem::Problem, state::AppState};

/// Takes an ADF document. Each of its prospects becomes a lead, or a message of one.
#[utoipa::path(
    post, path = "/webhooks/adf/{key}", tag = "Webhooks", operation_id = "receiveAdf", security(()),
    params(("key" = String, Path, description = "The key of the source.")),
    request_body(content = String, content_type = "application/x-adf+xml", description = "The document"),
    responses((status = 200, description = "It is stored", body = MailReceipt), FormProblems),
)]
pub(crate) async fn receive(
    State(state): State<AppState>,
    Path(key): Path<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<MailReceipt>, Problem> {
    let permit = state.admission.visitor().await?;
    let entered = permit.db().enter_source(SourceKind::Adf.as_str(), &key).await?;
    let Some(EnteredSource { mut tx, id }) = entered else { return Err(Problem::no_such_form()) };
    state.inbound_quota.spend(&state.metrics, &[tx.dealership()], body.len())?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let hash = Provider::identity_of_bytes(&body);
    let new = NewDelivery {
        source: Source::Adf,
        external_id: &format!("{id} {hash}"),
        event_type: "adf",
        dealership: Some(tx.dealership()),
        source_id: Some(id),
        subject: None,
        headers: json!({ "content-type": content_type }),
        body: &body,
        status: Status::Pending,
        outcome: None,
    };
    let stored = store(&mut tx, &new).await?;
    if let Stored::New(delivery_id) = stored {
        let job = ReadInquiry { delivery_id };
        enqueue(&mut tx, &NewJob::now(&job)).await?;
    }
    tx.commit().await?;
    let is_new = matches!(stored, Stored::New(_));
    state.metrics.webhook(Source::Adf, if is_new { "accepted" } else { "duplicate" });
    Ok(Json(MailReceipt::of(is_new)))
}
