//! What is for operators and for what watches over the process, on an address of its own. A new page: a handler in a file
//! here, a line in [`router`].

mod health;
mod queue;
mod scrape;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::FromRef, routing::get};
use common::db::Db;
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

pub(crate) use health::Phase;
use queue::QueueView;

/// What handlers share.
#[derive(Clone, FromRef)]
struct Admin {
    db: Db,
    phase: watch::Receiver<Phase>,
    registry: Arc<Registry>,
    queue: Arc<QueueView>,
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(scrape::scrape))
        .with_state(admin)
}

/// Serves there until the returned set is dropped.
pub(crate) async fn serve(
    address: SocketAddr,
    db: Db,
    phase: watch::Receiver<Phase>,
    mut registry: Registry,
) -> io::Result<JoinSet<()>> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(admin_address = %listener.local_addr()?, "serving metrics and health");
    let queue = Arc::new(QueueView::new(db.clone()));
    registry.register_collector(Box::new(queue.clone()));
    let router = router(Admin { db, phase, registry: Arc::new(registry), queue });
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        // It goes on accepting, whatever happens.
        let _ = axum::serve(listener, router).await;
    });
    Ok(serving)
}
