//! Every route on one screen.

use std::sync::Arc;

use axum::{Router, extract::FromRef, middleware};
use common::{db::Db, ids::ClerkInstanceId};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::Verifier,
    body, context, cors,
    metrics::Metrics,
    openapi::{self, Document, docs},
    problem::Problem,
    routes::{automation_rules, conversations, dealership, health, leads, vehicles, webhooks},
};

/// What handlers share.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    pub(crate) db: Db,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) signatures: Arc<webhooks::Signatures>,
    /// Whose webhooks are applied, if told.
    pub(crate) clerk_instance: Option<Arc<ClerkInstanceId>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether the process is on its way out.
    pub(crate) stopping: watch::Receiver<bool>,
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
        .layer(middleware::from_fn(body::arrive))
        .merge(docs(document))
        .fallback(|| async { Problem::no_such_route() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(context::panicked))
        .layer(cors::layer(cors_origins))
        .layer(middleware::from_fn_with_state(state.metrics.clone(), context::with_request_id))
        .with_state(state)
}
