//! Every route on one screen.

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_extractor_with_state, from_fn, from_fn_with_state},
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
    memory::FairMemory,
    openapi::{self, Document, docs},
    problem::Problem,
    rate_limit::RateLimited,
    request_log::{self, RequestLog},
    routes::{automation_rules, conversations, dealership, health, leads, vehicles, webhooks},
    security_headers,
    state::AppState,
};

/// Memory for bodies of members, and of webhooks: for all, and for one person or one address.
const BODIES: usize = 24 * JSON;
const BODIES_SHARE: usize = 4 * JSON;
/// The same for answers that are being made or were not taken yet.
const ANSWERS: usize = 36 * 1024 * 1024;
const ANSWERS_SHARE: usize = 24 * 1024 * 1024;

/// For people with a session token.
fn member_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(leads::list, leads::create))
        .routes(routes!(leads::show, leads::update, leads::delete))
        .routes(routes!(leads::history))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::create))
        .routes(routes!(vehicles::list, vehicles::create))
        .routes(routes!(vehicles::show, vehicles::update, vehicles::delete))
        .routes(routes!(automation_rules::list, automation_rules::create))
        .routes(routes!(automation_rules::show, automation_rules::update, automation_rules::delete))
        .routes(routes!(dealership::me))
        .routes(routes!(dealership::users))
        .routes(routes!(dealership::show, dealership::update))
}

fn webhook_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(webhooks::clerk))
}

/// For anybody, without a body.
fn service_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health::index)).routes(routes!(health::live)).routes(routes!(health::ready))
}

/// All of them in one.
fn assemble(
    members: OpenApiRouter<AppState>,
    webhooks: OpenApiRouter<AppState>,
    service: OpenApiRouter<AppState>,
) -> OpenApiRouter<AppState> {
    let mut router =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", members).merge(webhooks).merge(service);
    openapi::finish(router.get_openapi_mut());
    router
}

/// The OpenAPI 3.1 document of all routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    assemble(member_routes(), webhook_routes(), service_routes()).into_openapi()
}

/// What a route takes is said here. In this order, from the last line to the first: whose request it is, then its body,
/// then the time for the rest.
pub(crate) fn router(state: AppState, cors_origins: &[String]) -> Router {
    let limits = || BodyLimits { bytes: JSON, time: JSON_TIME, memory: FairMemory::new(BODIES, BODIES_SHARE) };
    let time = || TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT);
    let memory = AnswerMemory(FairMemory::new(ANSWERS, ANSWERS_SHARE));
    let answers =
        || from_fn_with_state(AnswerState { memory: memory.clone(), proxies: state.trusted_proxies }, answers::bounded);
    let members = member_routes()
        .layer(time())
        .layer(answers())
        .layer(from_fn_with_state(limits(), body::buffer))
        .layer(from_fn_with_state(state.clone(), auth::members_only));
    let webhooks = webhook_routes()
        .layer(time())
        .layer(from_fn_with_state(limits(), body::buffer))
        .layer(from_fn_with_state(state.clone(), webhooks::check_headers));
    let (router, document) = assemble(members, webhooks, service_routes().layer(time())).split_for_parts();
    router
        .merge(
            Router::from(docs(document))
                .layer(answers())
                .layer(from_fn(security_headers::add_for_docs))
                .layer(from_extractor_with_state::<RateLimited, _>(state.clone())),
        )
        .fallback(|_: RateLimited| async { Problem::no_such_route() })
        .method_not_allowed_fallback(|_: RateLimited| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(request_log::panicked))
        // Whatever is for other origins than the dashboard's is merged below this line, with a layer of its own.
        .layer(cors::layer(cors_origins))
        .layer(from_fn(framing::check))
        .layer(from_fn_with_state(state.trusted_proxies, security_headers::add))
        .layer(from_fn_with_state(RequestLog::new(state.metrics.clone()), request_log::with_request_id))
        .with_state(state)
}
