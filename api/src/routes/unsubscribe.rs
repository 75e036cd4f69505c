//! Where customers say that they want no more messages: a page with a button, and what mail programs post themselves.
//! <https://www.rfc-editor.org/rfc/rfc8058>

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use common::{
    lead_sources::Language,
    outbox::{self, Report, ReportKind, read_tag},
};

use super::forms::language;
use crate::{pages, problem::Problem, rate_limit::RateLimited, state::AppState};

/// Asks first: what only follows links must not take anybody off a list.
pub(crate) async fn page(_: RateLimited, Path(tag): Path<String>, headers: HeaderMap) -> Response {
    let language = language(&headers, Language::Nb);
    match read_tag(&tag) {
        Some(_) => pages::unsubscribe(language, &tag),
        None => pages::page(StatusCode::NOT_FOUND, pages::closed(language)),
    }
}

/// Sends no more messages to whoever got the one that this link stands in.
pub(crate) async fn unsubscribe(
    State(state): State<AppState>,
    _: RateLimited,
    Path(tag): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let language = language(&headers, Language::Nb);
    let Some((dealership, outbox)) = read_tag(&tag) else {
        return Ok(pages::page(StatusCode::NOT_FOUND, pages::closed(language)));
    };
    let permit = state.admission.visitor().await?;
    let mut tx = permit.db().tenant(dealership).await?;
    outbox::report(&mut tx, &Report { outbox, kind: ReportKind::OptOut, reason: None }).await?;
    tx.commit().await?;
    Ok(pages::page(StatusCode::OK, pages::unsubscribed(language)))
}
