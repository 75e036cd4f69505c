//! Before a body is read: whoever sends too much, cannot be the sender, or names what nobody has is told so at once.

use axum::{
    body::Body,
    extract::{RawPathParams, Request, State},
    http::{Method, Response},
    middleware::Next,
    response::IntoResponse,
};
use common::lead_sources::SourceKind;

use super::{facebook, form, reports};
use crate::{body::is_short, client::Client, memory::Owner, problem::Problem, state::AppState};

/// What comes in here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    Form,
    Adf,
    Facebook,
    Reports,
    Sms,
}

/// Lets the body of what comes in be read, if it can come to anything.
pub(crate) async fn enter(
    State((state, entry)): State<(AppState, Entry)>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response<Body> {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let client = Client::of(&parts, state.trusted_proxies);
    // The key of a source, or who sends.
    let named = params.iter().next().map_or("", |(_, value)| value);
    let refused = match entry {
        Entry::Form => form::before_the_body(&state, client, named, &mut parts).await.map_err(|response| *response),
        Entry::Adf => {
            let is_short = is_short(&parts.headers);
            before_a_keyed_body(&state, client, SourceKind::Adf, named, is_short).await.map_err(Problem::into_response)
        }
        Entry::Facebook => facebook::before_the_body(&state, client, &parts.headers).map_err(Problem::into_response),
        Entry::Reports => {
            reports::before_the_body(&state, client, named, &parts.headers).map_err(Problem::into_response)
        }
        Entry::Sms => reports::before_the_body_of_sms(&state, client, &parts.headers).map_err(Problem::into_response),
    };
    if let Err(response) = refused {
        return response;
    }
    parts.extensions.insert(Owner::Address(client));
    next.run(Request::from_parts(parts, body)).await
}

/// Counts what a client sends for a source, whatever it will turn out to be. Whether the source is there is looked up twice for a long
/// body only, whose reading costs more than that.
pub(super) async fn before_a_keyed_body(
    state: &AppState,
    client: Client,
    kind: SourceKind,
    key: &str,
    is_short: bool,
) -> Result<(), Problem> {
    state.form_limits.check(client, key)?;
    if is_short {
        return Ok(());
    }
    let permit = state.admission.visitor().await?;
    let entered = permit.db().enter_source(kind.as_str(), key).await?;
    entered.map(|entered| entered.tx.leave()).ok_or_else(Problem::no_such_form)
}
