use std::sync::Arc;

use axum::{extract::State, http::header, response::IntoResponse};
use common::metrics;
use prometheus_client::registry::Registry;

use super::queue::QueueView;

/// All metrics, with the queue as it was a moment ago at most.
pub(super) async fn scrape(
    State(registry): State<Arc<Registry>>,
    State(queue): State<Arc<QueueView>>,
) -> impl IntoResponse {
    queue.refresh().await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&registry))
}
