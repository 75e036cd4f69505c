//! Writes while commits hang: what cannot be made durable is refused at once, so that reads have the connections.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use common::db::ReadinessCheck;

use crate::problem::Problem;

/// Refuses whatever is not a read while commits hang.
pub(crate) async fn unless_commits_hang(
    State(database): State<Arc<ReadinessCheck>>,
    request: Request,
    next: Next,
) -> Response {
    if database.commits_hang() && !request.method().is_safe() {
        return Problem::unavailable().into_response();
    }
    next.run(request).await
}
