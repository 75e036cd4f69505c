//! What customers see of a form: the hosted page, the page of thanks, and the script that draws it elsewhere.

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use common::{
    db::EnteredSource,
    lead_sources::{self, Language, Settings, SourceKind},
};
use uuid::Uuid;

use crate::{
    client::Client,
    extract::decode_query,
    pages::{self, EmbeddedForm, FormPage},
    problem::Problem,
    state::AppState,
};

/// A style sheet or script of the hosted form, as the version that `v` names.
pub(crate) async fn asset(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let version = query.as_deref().and_then(|query| query.strip_prefix("v="));
    pages::asset(&name, version, &headers).ok_or_else(Problem::no_such_route)
}

/// The form as a page of its own. What its address names is filled in.
pub(crate) async fn hosted(
    State(state): State<AppState>,
    client: Client,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let settings = match find(&state, client, &key, &headers).await {
        Ok(settings) => settings,
        Err(instead) => return *instead,
    };
    let typed = decode_query(query.as_deref().unwrap_or_default()).unwrap_or_default();
    let chosen = typed.iter().find(|(name, _)| name == "_language").and_then(|(_, language)| language.parse().ok());
    let page = FormPage {
        dealership: &settings.dealership,
        key: &key,
        language: chosen.unwrap_or_else(|| language(&headers, settings.language)),
        turnstile_site_key: settings.turnstile_site_key.as_deref().filter(|_| settings.checks_for_bots()),
        typed: &typed,
        mistakes: &[],
        notice: None,
        nonce: &Uuid::new_v4().to_string(),
        next: settings.thank_you_url.as_deref(),
    };
    page.respond(StatusCode::OK)
}

/// What a customer sees who has sent the form.
pub(crate) async fn thanks(
    State(state): State<AppState>,
    client: Client,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    match find(&state, client, &key, &headers).await {
        Ok(settings) => {
            let language = language(&headers, settings.language);
            pages::page(StatusCode::OK, pages::thanks(&settings.dealership, &key, language))
        }
        Err(instead) => *instead,
    }
}

/// The script that draws the form on a page of the dealership's.
pub(crate) async fn script(
    State(state): State<AppState>,
    client: Client,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = file.strip_suffix(".js").ok_or_else(Problem::no_such_route)?;
    let Some(api_origin) = &state.addresses.public_url else {
        return Err(Problem::not_ready("Forms cannot be drawn elsewhere, because PUBLIC_URL is not set."));
    };
    let settings = match find(&state, client, key, &headers).await {
        Ok(settings) => settings,
        Err(instead) => return Ok(*instead),
    };
    let form = EmbeddedForm {
        key,
        api_origin,
        language: settings.language,
        dealership: &settings.dealership,
        turnstile_site_key: settings.turnstile_site_key.as_deref().filter(|_| settings.checks_for_bots()),
    };
    Ok(pages::embed_script(form.script(), &headers))
}

/// How a form is set, or what is shown instead.
async fn find(state: &AppState, client: Client, key: &str, headers: &HeaderMap) -> Result<Settings, Box<Response>> {
    let language = language(headers, Language::Nb);
    let instead = |status, page| Box::new(pages::page(status, page));
    if let Err(problem) = state.rate_limiter.check(client) {
        let mut page = instead(StatusCode::TOO_MANY_REQUESTS, pages::crowded(language));
        if let Some(seconds) = problem.retry_after_seconds() {
            page.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        return Err(page);
    }
    match settings(state, key).await {
        Ok(Some(settings)) if settings.enabled => Ok(settings),
        Ok(_) => Err(instead(StatusCode::NOT_FOUND, pages::closed(language))),
        Err(problem) => {
            let status = problem.status();
            Err(instead(status, pages::crowded(language)))
        }
    }
}

async fn settings(state: &AppState, key: &str) -> Result<Option<Settings>, Problem> {
    let permit = state.admission.visitor().await?;
    let entered = permit.db().enter_source(SourceKind::Form.as_str(), key).await?;
    let Some(EnteredSource { mut tx, id }) = entered else { return Ok(None) };
    let settings = lead_sources::settings(&mut tx, id).await?;
    tx.leave();
    Ok(settings)
}

/// The language that a browser asks for.
pub(crate) fn language(headers: &HeaderMap, default: Language) -> Language {
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    asked.map_or(default, |asked| pages::from_accept_language(asked, default))
}
