//! Every route on one screen.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    middleware,
    routing::{get, post},
};
use common::db::Db;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    auth::Verifier,
    context, cors,
    problem::Problem,
    routes::{health, leads, me, webhooks},
};

/// Largest body that is read, in bytes. Svix sends up to 350 kB.
const BODY_LIMIT: usize = 1024 * 1024;

/// What handlers share.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    pub(crate) db: Db,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) signatures: Arc<webhooks::Signatures>,
    /// Whether the process is on its way out.
    pub(crate) stopping: watch::Receiver<bool>,
}

pub(crate) fn router(state: AppState, cors_origins: &[String]) -> Router {
    let v1 = Router::new()
        .route("/me", get(me::show))
        .route("/leads", get(leads::list))
        .route("/leads/{id}", get(leads::show));
    Router::new()
        .route("/", get(health::index))
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/webhooks/clerk", post(webhooks::clerk))
        .nest("/api/v1", v1)
        .fallback(|| async { Problem::no_such_route() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(context::panicked))
        .layer(cors::layer(cors_origins))
        .layer(middleware::from_fn(context::with_request_id))
        .with_state(state)
}
