//! Every route on one screen.

use std::sync::Arc;

use axum::{Router, extract::FromRef, http::StatusCode, middleware};
use common::{
    db::{REQUEST_LIMIT, ReadinessCheck},
    ids::ClerkInstanceId,
};
use tokio::sync::watch;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    anonymous::{Allowance, Public},
    auth::Verifier,
    body::{self, Bodies},
    context, cors,
    metrics::Metrics,
    openapi::{self, Document, docs},
    problem::Problem,
    routes::{automation_rules, conversations, dealership, health, leads, vehicles, webhooks},
    serve::Phase,
    turns::Turns,
};

/// What handlers share.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    /// The way to the database.
    pub(crate) turns: Turns,
    pub(crate) readiness: Arc<ReadinessCheck>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) signatures: Arc<webhooks::Signatures>,
    /// Whose webhooks are applied, if told.
    pub(crate) clerk_instance: Option<Arc<ClerkInstanceId>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) trusted_proxies: u32,
    /// Whether the process is on its way out.
    pub(crate) phase: watch::Receiver<Phase>,
}

fn described() -> OpenApiRouter<AppState> {
    let v1 = OpenApiRouter::new()
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
        .routes(routes!(dealership::show, dealership::update));
    let mut router = OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", v1)
        .routes(routes!(webhooks::clerk))
        .routes(routes!(health::index))
        .routes(routes!(health::live))
        .routes(routes!(health::ready));
    openapi::finish(router.get_openapi_mut());
    router
}

/// The OpenAPI 3.1 document of all routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

pub(crate) fn router(state: AppState, cors_origins: &[String]) -> Router {
    let (router, document) = described().split_for_parts();
    router
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT))
        .layer(middleware::from_fn_with_state(Bodies::default(), body::arrive))
        .merge(Router::from(docs(document)).layer(middleware::from_extractor_with_state::<Public, _>(state.clone())))
        .fallback(|_: Public| async { Problem::no_such_route() })
        .method_not_allowed_fallback(|_: Public| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(context::panicked))
        .layer(cors::layer(cors_origins))
        .layer(middleware::from_fn_with_state(state.metrics.clone(), context::with_request_id))
        .with_state(state)
}
