//! Every route on one screen.

use std::time::Duration;

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_extractor_with_state, from_fn, from_fn_with_state},
    routing::{get, options},
};
use common::db::REQUEST_LIMIT;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answers::{self, AnswerMemory, AnswerState},
    auth,
    body::{self, BodyLimits, JSON, JSON_TIME},
    cors, framing,
    inbound::{
        adf, email,
        entry::{self, Entry},
        facebook,
        form::{self, FORM},
        reports,
    },
    memory::FairMemory,
    openapi::{self, Document, docs},
    problem::Problem,
    queries::{self, WithQuery},
    rate_limit::RateLimited,
    replica,
    request_log::{self, RequestLog},
    routes::{
        answers as answer_routes, automation_rules, conversations, customers, dealership, facebook_login, forms,
        health, inbound, lead_sources, leads, sending, suggestions, unsubscribe, vehicles, webhooks,
    },
    security_headers,
    state::AppState,
    writes,
};

/// Memory for bodies of members, and of webhooks: for all, and for one person or one address.
const BODIES: usize = 24 * JSON;
const BODIES_SHARE: usize = 4 * JSON;
/// The same for forms, which take longer from telephones.
const FORMS: usize = 6 * FORM;
const FORMS_SHARE: usize = 2 * FORM;
const FORM_TIME: Duration = Duration::from_secs(30);
/// How long it may take to take a mail, with the time in which it arrives.
const MAIL_TIME: Duration = Duration::from_mins(6);
/// The same for answers that are being made or were not taken yet.
const ANSWERS: usize = 18 * 1024 * 1024;
const ANSWERS_SHARE: usize = 14 * 1024 * 1024;

/// For people with a session token.
fn member_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(leads::list, leads::create))
        .routes(routes!(leads::show, leads::update, leads::delete))
        .routes(routes!(leads::history))
        .routes(routes!(leads::related))
        .routes(routes!(leads::adf))
        .routes(routes!(customers::list))
        .routes(routes!(customers::show))
        .routes(routes!(customers::merge))
        .routes(routes!(customers::unmerge))
        .routes(routes!(customers::split))
        .routes(routes!(lead_sources::list, lead_sources::create))
        .routes(routes!(lead_sources::show, lead_sources::update, lead_sources::delete))
        .routes(routes!(lead_sources::rotate))
        .routes(routes!(lead_sources::embed))
        .routes(routes!(lead_sources::connect))
        .routes(routes!(facebook_login::show, facebook_login::begin))
        .routes(routes!(facebook_login::choose))
        .routes(routes!(inbound::list))
        .routes(routes!(inbound::ledger))
        .routes(routes!(inbound::show))
        .routes(routes!(inbound::accept))
        .routes(routes!(inbound::reject))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::create))
        .routes(routes!(conversations::preview))
        .routes(routes!(conversations::send_again))
        .routes(routes!(answer_routes::list))
        .routes(routes!(answer_routes::send_draft))
        .routes(routes!(suggestions::create, suggestions::list))
        .routes(routes!(answer_routes::settings, answer_routes::update_settings))
        .routes(routes!(sending::email, sending::keep_email, sending::remove_email))
        .routes(routes!(sending::check_email))
        .routes(routes!(sending::sms, sending::keep_sms, sending::remove_sms))
        .routes(routes!(vehicles::list, vehicles::create))
        .routes(routes!(vehicles::show, vehicles::update, vehicles::delete))
        .routes(routes!(automation_rules::list, automation_rules::create))
        .routes(routes!(automation_rules::show, automation_rules::update, automation_rules::delete))
        .routes(routes!(dealership::me, dealership::update_me))
        .routes(routes!(dealership::users))
        .routes(routes!(dealership::show, dealership::update))
}

fn webhook_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(webhooks::clerk))
}

/// For pages of the dealerships' web sites.
fn form_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(form::submit))
}

/// For whoever passes inquiries on, and what else providers tell.
fn sender_routes() -> [(OpenApiRouter<AppState>, Entry); 4] {
    let routes = OpenApiRouter::new;
    [
        (routes().routes(routes!(adf::receive)), Entry::Adf),
        (routes().routes(routes!(facebook::verify, facebook::receive)), Entry::Facebook),
        (routes().routes(routes!(reports::receive)), Entry::Reports),
        (routes().routes(routes!(reports::sms)), Entry::Sms),
    ]
}

/// For those who receive mails for us, which may be long.
fn mail_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(email::receive))
}

/// For anybody, without a body.
fn service_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::index))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::ready_for_reads))
}

/// The OpenAPI 3.1 document of all routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let all = OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", member_routes())
        .merge(webhook_routes())
        .merge(form_routes());
    let all = sender_routes().into_iter().fold(all, |all, (routes, _)| all.merge(routes));
    let mut document = all.merge(mail_routes()).merge(service_routes()).into_openapi();
    openapi::finish(&mut document);
    document
}

/// What a group of routes takes is said here: bodies, time, and whose browsers may call it. In this order: whose request it
/// is, then its body, then the time for the rest.
///
/// A group's layers are laid on at once: axum keeps what is laid on by itself on the heap, and copies what is below each
/// layer twice for every request, so that ten would make a hundred copies.
pub(crate) fn router(state: AppState, cors_origins: &[String]) -> Router {
    let limits = || BodyLimits { bytes: JSON, time: JSON_TIME, memory: FairMemory::new(BODIES, BODIES_SHARE) };
    let time = || TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT);
    let writes = || from_fn_with_state(state.clone(), writes::unless_commits_hang);
    let memory = AnswerMemory(FairMemory::new(ANSWERS, ANSWERS_SHARE));
    let answers =
        || from_fn_with_state(AnswerState { memory: memory.clone(), proxies: state.trusted_proxies }, answers::bounded);
    let members = match state.lists.0 {
        Some(_) => member_routes().layer(from_fn(replica::or_primary)),
        None => member_routes(),
    };
    let document = openapi();
    let members = members.layer((
        from_fn_with_state(state.clone(), auth::members_only),
        from_fn_with_state(WithQuery::of(&document), queries::refuse_unknown),
        from_fn_with_state(limits(), body::buffer),
        answers(),
        time(),
        writes(),
    ));
    // Called by servers: no browser is let in.
    let webhooks = webhook_routes().layer((
        from_fn_with_state(state.clone(), webhooks::check_headers),
        from_fn_with_state(limits(), body::buffer),
        time(),
        writes(),
    ));
    let form_limits = BodyLimits { bytes: FORM, time: FORM_TIME, memory: FairMemory::new(FORMS, FORMS_SHARE) };
    let through = |routes: OpenApiRouter<AppState>, entry, limits| {
        Router::from(routes).layer((
            from_fn_with_state((state.clone(), entry), entry::enter),
            from_fn_with_state(limits, body::buffer),
            time(),
            writes(),
        ))
    };
    let forms =
        through(form_routes(), Entry::Form, form_limits).route("/webhooks/form/{key}", options(form::preflight));
    let of_senders = limits();
    let senders = sender_routes().into_iter().map(|(routes, entry)| through(routes, entry, of_senders.clone()));
    let senders = senders.fold(Router::new(), Router::merge);
    // Nothing is read of their bodies.
    let returns = Router::new()
        .route("/webhooks/facebook/oauth", get(facebook_login::come_back_here))
        .route("/unsubscribe/{tag}", get(unsubscribe::page).post(unsubscribe::unsubscribe))
        .layer((time(), writes()));
    // Their bodies have a time limit of their own.
    let mail_time = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, MAIL_TIME);
    let mails = Router::from(mail_routes()).layer((mail_time, writes()));
    let docs = Router::from(docs(document)).layer((
        from_extractor_with_state::<RateLimited, _>(state.clone()),
        from_fn(security_headers::add_for_docs),
        answers(),
        time(),
    ));
    let pages = Router::new()
        .route("/forms/assets/{name}", get(forms::asset))
        .route("/forms/{key}", get(forms::hosted))
        .route("/forms/{key}/thanks", get(forms::thanks))
        .route("/embed/{file}", get(forms::script))
        .layer(time());
    let dashboard = OpenApiRouter::new().nest("/api/v1", members).merge(service_routes().layer(time()));
    Router::from(dashboard)
        .merge(docs)
        .merge(pages)
        .fallback(|_: RateLimited| async { Problem::no_such_route() })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors::layer(cors_origins))
        .merge(
            Router::from(webhooks)
                .merge(forms)
                .merge(senders)
                .merge(returns)
                .merge(mails)
                .method_not_allowed_fallback(method_not_allowed),
        )
        .layer((
            from_fn_with_state(RequestLog::new(state.metrics.clone()), request_log::with_request_id),
            from_fn_with_state(state.trusted_proxies, security_headers::add),
            from_fn(framing::check),
            CatchPanicLayer::custom(request_log::panicked),
        ))
        .with_state(state)
}

async fn method_not_allowed(_: RateLimited) -> Problem {
    Problem::method_not_allowed()
}
