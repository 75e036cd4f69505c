use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use common::metrics::{self, Exposition};
use prometheus_client::registry::Registry;

use super::queue::QueueView;

/// All metrics, with the queue as it was a moment ago at most.
pub(super) async fn scrape(
    State(registry): State<Arc<Registry>>,
    State(queue): State<Arc<QueueView>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    queue.refresh().await;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let Exposition { content_type, text } = metrics::exposition(&registry, accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, content_type)], text)
}
