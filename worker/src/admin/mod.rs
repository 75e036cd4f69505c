//! What is for operators and for what watches over the process, on an address of its own. A new page: a handler in a file
//! here, a line in [`router`].

mod guard;
mod guesses;
mod health;
mod pages;
mod queue;
mod scrape;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::FromRef, middleware::from_fn_with_state, routing::get};
use common::{clock::Clock, config::Operators, db::Db};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::Registry;
use guesses::Guesses;
pub(crate) use health::Phase;
use queue::QueueView;

#[derive(Clone, FromRef)]
pub(crate) struct Admin {
    db: Db,
    phase: watch::Receiver<Phase>,
    metrics: Arc<prometheus_client::registry::Registry>,
    queue: Arc<QueueView>,
    operators: Operators,
    guesses: Arc<Guesses>,
    clock: Clock,
}

fn router(admin: Admin) -> Router {
    pages::router()
        .layer(from_fn_with_state(admin.clone(), guard::operators_only))
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(scrape::scrape))
        .with_state(admin)
}

impl Admin {
    /// For a worker that runs these kinds of jobs.
    pub(crate) fn new(
        db: Db,
        phase: watch::Receiver<Phase>,
        mut metrics: prometheus_client::registry::Registry,
        kinds: &Registry,
        operators: Operators,
    ) -> Self {
        let queue = Arc::new(QueueView::new(db.clone(), kinds));
        metrics.register_collector(Box::new(queue.clone()));
        Self {
            db,
            phase,
            metrics: Arc::new(metrics),
            queue,
            operators,
            guesses: Arc::default(),
            clock: Clock::system(),
        }
    }

    /// Serves there until the returned set is dropped.
    pub(crate) async fn serve(self, address: SocketAddr) -> io::Result<JoinSet<()>> {
        let listener = TcpListener::bind(address).await?;
        tracing::info!(admin_address = %listener.local_addr()?, "serving metrics, health and operators' pages");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let (_serving, phase) = watch::channel(server::Phase::Serving);
            server::serve(listener, router(self), server::Limits::OPERATORS, phase).await;
        });
        Ok(serving)
    }
}
