//! Mails, as those post them who receive them for us. Routed by the envelope: whom the headers name does not matter.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use common::{
    deliveries::Source,
    inquiry::email::{NoMail, Provider, Received},
    intake::{PostedMail, receive_mail},
};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::{
    client::Client,
    openapi::MailProblems,
    problem::Problem,
    signatures::mail::{authenticity, before_the_body},
    state::AppState,
    strangers::require_authentic,
};

/// What became of a mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct MailReceipt {
    /// `received`, or `duplicate` if it came before.
    #[schema(example = "received")]
    status: &'static str,
}

impl MailReceipt {
    pub(crate) fn of(is_new: bool) -> Self {
        Self { status: if is_new { "received" } else { "duplicate" } }
    }
}

/// Takes a mail from `sendgrid`, `mailgun`, `postmark`, or as it is (`raw`) with its recipients in `X-Envelope-To`.
///
/// Each is answered as it needs: whatever we are in doubt about, `SendGrid` gets as 503, since it destroys a mail on any 4xx.
/// A mail to an address that nobody has is kept for operators.
#[utoipa::path(
    post, path = "/webhooks/email/{provider}", tag = "Webhooks", operation_id = "receiveMail", security(()),
    params(("provider" = String, Path, description = "Who sends it.", example = "raw")),
    request_body(content = Object, description = "As the provider posts it"),
    responses((status = 200, description = "It is stored", body = MailReceipt), MailProblems),
)]
pub(crate) async fn receive(
    State(state): State<AppState>,
    client: Client,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(provider) = provider.parse::<Provider>() else {
        return state.rate_limiter.refuse(client, Problem::no_such_route()).into_response();
    };
    match take(&state, client, provider, &headers, body).await {
        Ok(is_new) => {
            state.metrics.webhook(Source::Email, if is_new { "accepted" } else { "duplicate" });
            Json(MailReceipt::of(is_new)).into_response()
        }
        Err(problem) => {
            state.metrics.webhook(Source::Email, "rejected");
            without_losing_it(provider, problem)
        }
    }
}

/// What the sender tries again after.
fn without_losing_it(provider: Provider, problem: Problem) -> Response {
    match provider {
        Provider::Sendgrid if problem.status().is_client_error() => Problem::unavailable().into_response(),
        // Each of them sends it again after this.
        _ if problem.status() == StatusCode::TOO_MANY_REQUESTS => Problem::unavailable().into_response(),
        _ => problem.into_response(),
    }
}

async fn take(
    state: &AppState,
    client: Client,
    provider: Provider,
    headers: &HeaderMap,
    body: Body,
) -> Result<bool, Problem> {
    // Whoever shows at once that they are not the provider need not send a long mail first.
    let require = |authenticity| require_authentic(authenticity, state, client, provider.as_str(), headers);
    require(before_the_body(&state.senders.mail, provider, headers))?;
    let arrived = state.spool.take(client, body).await;
    let arrived = arrived.map_err(|problem| match problem.status() {
        status if status.is_server_error() => problem,
        _ => state.rate_limiter.refuse(client, problem),
    })?;
    let body = state.spool.whole(arrived).await?;
    require(authenticity(&state.senders.mail, provider, headers, &body))?;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (content_type, to) = (text(header::CONTENT_TYPE.as_str()), text("x-envelope-to"));
    let read = read(provider, content_type, to, body.bytes()).await?;
    let permit = state.admission.webhook().await?;
    let mut tx = permit.db().system_for_request().await?;
    let posted = PostedMail { provider, content_type, envelope_to: to, body: &body };
    let taken = receive_mail(&mut tx, &posted, read, state.addresses.inbound_domain.as_deref()).await?;
    state.inbound_quota.spend(&state.metrics, &taken.dealerships, body.len())?;
    tx.commit().await?;
    Ok(taken.is_new)
}

/// A long mail takes a while, in which other requests go on.
async fn read(
    provider: Provider,
    content_type: &str,
    to: &str,
    body: Bytes,
) -> Result<Result<Received, NoMail>, Problem> {
    let (content_type, to) = (content_type.to_owned(), to.to_owned());
    let reading = spawn_blocking(move || provider.read(&content_type, &to, &body));
    reading.await.map_err(|_| Problem::internal())
}
