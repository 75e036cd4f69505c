//! What is for operators, on an address of its own.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::get,
};
use common::metrics::{self, Exposition};
use prometheus_client::registry::Registry;
use server::{Limits, Phase};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Serves metrics there until the returned set is dropped.
pub(crate) async fn serve(address: SocketAddr, registry: Registry) -> io::Result<JoinSet<()>> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(admin_address = %listener.local_addr()?, "serving metrics");
    let router = Router::new().route("/metrics", get(scrape)).with_state(Arc::new(registry));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (_serving, phase) = watch::channel(Phase::Serving);
        server::serve(listener, router, Limits::OPERATORS, phase).await;
    });
    Ok(serving)
}

async fn scrape(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let Exposition { content_type, text } = metrics::exposition(&registry, accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, content_type)], text)
}
