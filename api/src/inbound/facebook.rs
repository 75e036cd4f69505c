//! Lead ads of Facebook and Instagram. <https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving>

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};
use common::{
    db::{SystemTx, find_source},
    deliveries::{NewDelivery, Source, Status, Stored, store},
    inquiry::facebook::{Change, ChangeKind, Leadgen, is_test, read_webhook},
    jobs::ReadFacebookLead,
    lead_sources::SourceKind,
    queue::{NewJob, enqueue},
};
use serde_json::json;

use super::email::MailReceipt;
use crate::{
    client::Client,
    extract::{StrangersBody, decode_query},
    openapi::MailProblems,
    problem::Problem,
    rate_limit::RateLimited,
    signatures::{mail::Authenticity, meta},
    state::AppState,
    strangers::require_authentic,
};

/// Tells Meta that the address is ours.
#[utoipa::path(
    get, path = "/webhooks/facebook", tag = "Webhooks", operation_id = "verifyFacebookWebhook", security(()),
    responses((status = 200, description = "The challenge", body = String, content_type = "text/plain"), MailProblems),
)]
pub(crate) async fn verify(State(state): State<AppState>, _: RateLimited, uri: Uri) -> Result<String, Problem> {
    let query = decode_query(uri.query().unwrap_or_default()).ok_or_else(Problem::query_not_utf8)?;
    let Some(token) = &state.senders.meta_verify_token else {
        return Err(Problem::not_ready("Facebook is not configured here; set FACEBOOK_VERIFY_TOKEN."));
    };
    meta::challenge(token, &query).map(str::to_owned).ok_or_else(Problem::not_the_sender)
}

/// Takes what Meta tells of lead ads, signed in `X-Hub-Signature-256`. Each lead is fetched by a worker.
#[utoipa::path(
    post, path = "/webhooks/facebook", tag = "Webhooks", operation_id = "receiveFacebookWebhook", security(()),
    request_body(content = Object, description = "Up to a thousand changes"),
    responses((status = 200, description = "They are stored", body = MailReceipt), MailProblems),
)]
pub(crate) async fn receive(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    StrangersBody(body): StrangersBody,
) -> Result<Response, Problem> {
    let authenticity = Authenticity::of(Some(meta::is_authentic(&state.senders.meta_secrets, &headers, &body)));
    require(authenticity, &state, client, &headers)?;
    let changes = read_webhook(&body).map_err(|_| Problem::unreadable("The body is not a webhook of Meta's."))?;
    let permit = state.admission.webhook().await?;
    let mut tx = permit.db().system_for_request().await?;
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in &changes {
        outcomes.push(match &change.kind {
            ChangeKind::Leadgen(lead) => store_lead(&mut tx, change, lead).await?,
            _ => "ignored",
        });
    }
    tx.commit().await?;
    for outcome in &outcomes {
        state.metrics.webhook(Source::Facebook, outcome);
    }
    Ok(Json(MailReceipt::of(outcomes.contains(&"accepted"))).into_response())
}

/// Before a body is read: whoever cannot be Meta need not send it.
pub(super) fn before_the_body(state: &AppState, client: Client, headers: &HeaderMap) -> Result<(), Problem> {
    let is_configured = !state.senders.meta_secrets.is_empty();
    require(Authenticity::can_be(is_configured.then(|| meta::is_plausible(headers))), state, client, headers)
}

fn require(authenticity: Authenticity, state: &AppState, client: Client, headers: &HeaderMap) -> Result<(), Problem> {
    require_authentic(authenticity, state, client, "facebook", headers)
        .inspect_err(|_| state.metrics.webhook(Source::Facebook, "rejected"))
}

async fn store_lead(tx: &mut SystemTx, change: &Change, lead: &Leadgen) -> Result<&'static str, Problem> {
    let whose = find_source(tx, SourceKind::Facebook.as_str(), &lead.page_id).await.map_err(common::db::Error::from)?;
    let (dealership, source_id) = whose.unzip();
    let (status, outcome) = match (is_test(change), whose) {
        (true, _) => (Status::Ignored, Some("a test of Meta's")),
        (false, None) => (Status::Parked, Some("nobody has connected its page")),
        (false, Some(_)) => (Status::Pending, None),
    };
    let new = NewDelivery {
        source: Source::Facebook,
        external_id: &lead.leadgen_id,
        event_type: "leadgen",
        dealership,
        source_id,
        subject: None,
        headers: json!({ "page_id": lead.page_id }),
        body: change.raw.as_bytes(),
        status,
        outcome,
    };
    let Stored::New(delivery_id) = store(tx, &new).await? else { return Ok("duplicate") };
    if status == Status::Pending {
        let job = ReadFacebookLead { delivery_id };
        enqueue(tx, &NewJob { dealership, ..NewJob::now(&job) }).await?;
    }
    Ok("accepted")
}
