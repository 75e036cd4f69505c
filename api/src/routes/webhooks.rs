use axum::{
    Extension, Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
    middleware::Next,
    response::IntoResponse,
};
use common::{
    clerk::{self, Delivery, Receipt as Received},
    deliveries::Source,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    body::is_short, client::Client, extract::StrangersBody, memory::Owner, openapi::WebhookProblems, problem::Problem,
    signatures, state::AppState, strangers::refuse,
};

/// What became of a webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// `accepted`, `duplicate`, `ignored`, `dead` for what no retry could fix, or `quarantined` for what is of another
    /// Clerk instance.
    #[schema(example = "accepted")]
    status: &'static str,
}

/// A webhook that was stored and enqueued, for the line that tells how the request was answered.
#[derive(Clone)]
pub(crate) struct Accepted {
    svix_id: String,
    delivery_id: i64,
    event_type: String,
}

impl Accepted {
    /// Says so, and how it was answered.
    pub(crate) fn tell(&self, status: u16, micros: u64) {
        let Self { svix_id, delivery_id, event_type } = self;
        tracing::info!(status, micros, svix_id, delivery_id, event_type, "webhook accepted");
    }
}

/// Whose webhooks these are, in the log.
const CLERK: &str = "clerk";

/// Lets a webhook's body be read if its headers can be those of an authentic one.
pub(crate) async fn check_headers(
    State(state): State<AppState>,
    client: Client,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    if let Err(reason) = signatures::svix::check_headers(request.headers()) {
        state.metrics.webhook(Source::Clerk, "rejected");
        return refuse(&state, client, CLERK, Problem::invalid_signature(), &reason).into_response();
    }
    // Of a client who has been refused too often to be believed, a long body is not read.
    if !is_short(request.headers())
        && let Err(problem) = state.rate_limiter.allows(client)
    {
        state.metrics.webhook(Source::Clerk, "rejected");
        return problem.into_response();
    }
    request.extensions_mut().insert(Owner::Address(client));
    next.run(request).await
}

/// Takes a webhook of Clerk, signed by Svix: once this answers 2xx, the event will have its effect, exactly once.
///
/// A signature takes the secret and the time, so there is no example that could be sent as it is. With `cargo dev`, the stand-in
/// for Clerk signs events and sends them here when something changes there:
/// `curl -s -X POST http://localhost:8001/organizations -d '{"name": "Bil Vest"}'`
#[utoipa::path(
    post, path = "/webhooks/clerk", tag = "Webhooks", operation_id = "receiveClerkWebhook", security(()),
    request_body(content = Object, description = "The event, signed in the headers svix-id, svix-timestamp, svix-signature"),
    responses(
        (status = 202, description = "Stored and enqueued", body = Receipt),
        (status = 200, description = "Seen before, not needed, or malformed", body = Receipt),
        WebhookProblems,
    ),
)]
pub(crate) async fn clerk(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    StrangersBody(body): StrangersBody,
) -> Result<(StatusCode, Option<Extension<Accepted>>, Json<Receipt>), Problem> {
    let svix_id = state.signatures.verify(&headers, &body).map_err(|reason| {
        state.metrics.webhook(Source::Clerk, "rejected");
        refuse(&state, client, CLERK, Problem::invalid_signature(), &reason)
    })?;
    let delivery = Delivery { svix_id, body: &body };
    let received = receive(&state, &delivery).await.inspect_err(|_| state.metrics.webhook(Source::Clerk, "failed"))?;
    let outcome = outcome(&received);
    state.metrics.webhook(Source::Clerk, outcome);
    tell(svix_id, &received);
    let (status, accepted) = match received {
        Received::Accepted { delivery_id, event_type } => {
            let accepted = Accepted { svix_id: svix_id.to_owned(), delivery_id, event_type };
            (StatusCode::ACCEPTED, Some(Extension(accepted)))
        }
        Received::NotJson => return Err(Problem::unreadable("The body is not JSON.")),
        _ => (StatusCode::OK, None),
    };
    Ok((status, accepted, Json(Receipt { status: outcome })))
}

async fn receive(state: &AppState, delivery: &Delivery<'_>) -> Result<Received, Problem> {
    let permit = state.admission.webhook().await?;
    Ok(clerk::receive(permit.db(), state.clerk_instance.as_deref(), delivery).await?)
}

fn outcome(received: &Received) -> &'static str {
    match received {
        Received::Accepted { .. } => "accepted",
        Received::Duplicate => "duplicate",
        Received::Ignored { .. } => "ignored",
        Received::Dead { .. } => "dead",
        Received::Quarantined { .. } => "quarantined",
        Received::NotJson => "not_json",
    }
}

fn tell(svix_id: &str, received: &Received) {
    match received {
        // Said where the request is answered: one line for what happens most.
        Received::Accepted { .. } => {}
        Received::Duplicate => tracing::info!(svix_id, "webhook seen before"),
        Received::Ignored { event_type } => {
            tracing::info!(svix_id, event_type, "webhook of a type that is not handled");
        }
        Received::Dead { delivery_id, reason } => {
            tracing::error!(
                svix_id,
                delivery_id,
                reason,
                "webhook stored as dead: it does not have the shape of its type"
            );
        }
        Received::Quarantined { delivery_id, instance } => {
            tracing::error!(
                svix_id,
                delivery_id,
                instance,
                "webhook of another Clerk instance set aside: check its endpoints, and CLERK_INSTANCE_ID"
            );
        }
        Received::NotJson => tracing::warn!(svix_id, "authentic webhook that is not JSON"),
    }
}
