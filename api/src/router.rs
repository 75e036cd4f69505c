//! Every route on one screen.

use axum::{Router, http::StatusCode, middleware};
use common::db::REQUEST_LIMIT;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::{self, Bodies},
    cors,
    openapi::{self, Document, docs},
    problem::Problem,
    rate_limit::RateLimited,
    request_log,
    routes::{automation_rules, conversations, dealership, health, leads, vehicles, webhooks},
    security_headers,
    state::AppState,
};

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
        .layer(middleware::from_fn_with_state(Bodies::default(), body::buffer))
        .merge(
            Router::from(docs(document))
                .layer(middleware::from_fn(security_headers::add_for_docs))
                .layer(middleware::from_extractor_with_state::<RateLimited, _>(state.clone())),
        )
        .fallback(|_: RateLimited| async { Problem::no_such_route() })
        .method_not_allowed_fallback(|_: RateLimited| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(request_log::panicked))
        // Whatever is for other origins than the dashboard's is merged below this line, with a layer of its own.
        .layer(cors::layer(cors_origins))
        .layer(middleware::from_fn_with_state(state.trusted_proxies, security_headers::add))
        .layer(middleware::from_fn_with_state(state.metrics.clone(), request_log::with_request_id))
        .with_state(state)
}
