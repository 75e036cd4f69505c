//! What providers report of the messages that they took, and the text messages that customers send back.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use common::{
    deliveries::Source,
    ids::DealershipId,
    intake::{number_of_sms, receive_sms},
    outbox::{Reporter, receive_reports},
    secrets::Secret,
    sending_accounts::tokens_of_number,
};

use super::email::MailReceipt;
use crate::{
    client::Client,
    extract::{StrangersBody, decode_query},
    openapi::MailProblems,
    problem::Problem,
    signatures::{
        mail::{Authenticity, has_login, has_sendgrids_header, is_sendgrids},
        svix::{check_headers, is_signed},
        twilio,
    },
    state::AppState,
    strangers::require_authentic,
};

/// Takes what `sendgrid`, `resend`, `postmark` or `twilio` reports of messages: each is written down once, in whatever order it
/// comes.
#[utoipa::path(
    post, path = "/webhooks/{provider}/events", tag = "Webhooks", operation_id = "receiveReports", security(()),
    params(("provider" = String, Path, description = "Who reports.", example = "postmark")),
    request_body(content = Object, description = "As the provider posts it"),
    responses((status = 200, description = "It is stored", body = MailReceipt), MailProblems),
)]
pub(crate) async fn receive(
    State(state): State<AppState>,
    client: Client,
    Path(provider): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    StrangersBody(body): StrangersBody,
) -> Result<Response, Problem> {
    let reporter: Reporter = provider.parse().map_err(|_| Problem::no_such_route())?;
    let authenticity = authenticity(&state, reporter, &headers, &uri, &body);
    require_authentic(authenticity, &state, client, reporter.as_str(), &headers)
        .inspect_err(|_| state.metrics.webhook(Source::Report, "rejected"))?;
    let query = decode_query(uri.query().unwrap_or_default()).unwrap_or_default();
    let tag = query.iter().find(|(name, _)| name == "tag").map(|(_, tag)| tag.as_str());
    let reports = reporter.read(&body, tag).map_err(|error| Problem::unreadable(error.to_string()))?;
    let is_new = if reports.is_empty() {
        false
    } else {
        let permit = state.admission.webhook().await?;
        let mut tx = permit.db().system_for_request().await?;
        let is_new = receive_reports(&mut tx, reporter, reports).await?;
        tx.commit().await?;
        is_new
    };
    state.metrics.webhook(Source::Report, if is_new { "accepted" } else { "duplicate" });
    Ok(Json(MailReceipt::of(is_new)).into_response())
}

/// Takes a customer's text message from Twilio. It is added to the lead about which that number was written to last: by the
/// dealership to whose own number it came, if it is signed with the token of that account.
#[utoipa::path(
    post, path = "/webhooks/twilio/sms", tag = "Webhooks", operation_id = "receiveSms", security(()),
    request_body(content = Object, description = "As Twilio posts it"),
    responses((status = 200, description = "It is stored; nothing is answered", body = String, content_type = "text/xml"), MailProblems),
)]
pub(crate) async fn sms(
    State(state): State<AppState>,
    client: Client,
    uri: Uri,
    headers: HeaderMap,
    StrangersBody(body): StrangersBody,
) -> Result<Response, Problem> {
    let own = owner_of_number(&state, client, &headers, &uri, &body).await?;
    if own.is_none() {
        require_twilio(twilios(&state, &headers, &uri, &body), &state, client, &headers)?;
    }
    let permit = state.admission.webhook().await?;
    let mut tx = permit.db().system_for_request().await?;
    let Some(is_new) = receive_sms(&mut tx, &body, own).await? else {
        return Err(Problem::unreadable("The body is not a text message of Twilio's."));
    };
    tx.commit().await?;
    state.metrics.webhook(Source::Sms, if is_new { "accepted" } else { "duplicate" });
    Ok(([(CONTENT_TYPE, "text/xml")], "<Response/>").into_response())
}

/// The dealership whose own account has signed this. What the body says of itself only tells with which tokens to compare: nobody
/// gets the messages of a number by naming it.
async fn owner_of_number(
    state: &AppState,
    client: Client,
    headers: &HeaderMap,
    uri: &Uri,
    body: &[u8],
) -> Result<Option<DealershipId>, Problem> {
    let (Some(url), Some((account, number))) = (&state.addresses.public_url, number_of_sms(body)) else {
        return Ok(None);
    };
    // Only the database tells whether it is authentic. Until then it counts: a stranger does not ask the database without end.
    let counted = state.rate_limiter.check(client);
    counted.inspect_err(|_| state.metrics.webhook(Source::Sms, "rejected"))?;
    let tokens = candidates(state, &account, &number).await;
    state.rate_limiter.forgive(client);
    let is_theirs = |token| twilio::is_authentic(token, headers, &format!("{url}{uri}"), body);
    Ok(tokens?.iter().find(|(_, token)| is_theirs(token)).map(|(dealership, _)| *dealership))
}

async fn candidates(state: &AppState, account: &str, number: &str) -> Result<Vec<(DealershipId, Secret)>, Problem> {
    let permit = state.admission.visitor().await?;
    let mut tx = permit.db().system_for_request().await?;
    Ok(tokens_of_number(&mut tx, &state.keyring, account, number).await?)
}

/// Before a body is read: whoever cannot be who they say need not send it.
pub(super) fn before_the_body(
    state: &AppState,
    client: Client,
    provider: &str,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let Ok(reporter) = provider.parse::<Reporter>() else {
        return Err(state.rate_limiter.refuse(client, Problem::no_such_route()));
    };
    let senders = &state.senders.reports;
    let authenticity = match reporter {
        Reporter::Sendgrid => {
            Authenticity::can_be(senders.sendgrid_key.as_ref().map(|_| has_sendgrids_header(headers)))
        }
        Reporter::Postmark => Authenticity::of(senders.postmark_login.as_ref().map(|login| has_login(login, headers))),
        Reporter::Resend => {
            Authenticity::can_be(senders.resend_secrets.as_ref().map(|_| check_headers(headers).is_ok()))
        }
        Reporter::Twilio => {
            let told = senders.twilio_token.as_ref().zip(state.addresses.public_url.as_ref());
            Authenticity::can_be(told.map(|_| twilio::is_plausible(headers)))
        }
    };
    require_authentic(authenticity, state, client, reporter.as_str(), headers)
        .inspect_err(|_| state.metrics.webhook(Source::Report, "rejected"))
}

/// The same of a text message, which may be of a dealership's own account.
pub(super) fn before_the_body_of_sms(state: &AppState, client: Client, headers: &HeaderMap) -> Result<(), Problem> {
    let is_configured = state.addresses.public_url.is_some();
    let authenticity = Authenticity::can_be(is_configured.then(|| twilio::is_plausible(headers)));
    require_twilio(authenticity, state, client, headers)
}

fn require_twilio(
    authenticity: Authenticity,
    state: &AppState,
    client: Client,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    require_authentic(authenticity, state, client, "twilio", headers)
        .inspect_err(|_| state.metrics.webhook(Source::Sms, "rejected"))
}

fn authenticity(state: &AppState, reporter: Reporter, headers: &HeaderMap, uri: &Uri, body: &[u8]) -> Authenticity {
    let senders = &state.senders.reports;
    match reporter {
        Reporter::Sendgrid => {
            Authenticity::of(senders.sendgrid_key.as_ref().map(|key| is_sendgrids(key, headers, body)))
        }
        Reporter::Postmark => Authenticity::of(senders.postmark_login.as_ref().map(|login| has_login(login, headers))),
        Reporter::Resend => {
            Authenticity::of(senders.resend_secrets.as_ref().map(|secrets| is_signed(secrets, headers, body)))
        }
        Reporter::Twilio => twilios(state, headers, uri, body),
    }
}

fn twilios(state: &AppState, headers: &HeaderMap, uri: &Uri, body: &[u8]) -> Authenticity {
    let told = state.senders.reports.twilio_token.as_ref().zip(state.addresses.public_url.as_ref());
    Authenticity::of(told.map(|(token, url)| twilio::is_authentic(token, headers, &format!("{url}{uri}"), body)))
}
