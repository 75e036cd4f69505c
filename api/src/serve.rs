use std::{future::Future, io, sync::Arc};

use axum::serve::ListenerExt;
use common::{
    clock::Clock,
    config::ApiConfig,
    db::{Db, NotUsable},
    metrics,
};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    admin,
    auth::Verifier,
    metrics::Metrics,
    router::{self, AppState},
    routes::webhooks::Signatures,
};

/// Why the API does not serve, or no longer does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database is not fit for it.
    #[error(transparent)]
    Database(#[from] NotUsable),
    /// The client for fetching keys cannot be made.
    #[error("cannot make an HTTP client")]
    HttpClient(#[from] reqwest::Error),
    /// A webhook secret cannot be used.
    #[error("CLERK_WEBHOOK_SECRET cannot be used")]
    WebhookSecret(#[from] svix::webhooks::WebhookError),
    /// The listener failed.
    #[error("cannot accept connections")]
    Listener(#[from] io::Error),
    /// The address for operators cannot be had.
    #[error("cannot listen on API_ADMIN_ADDRESS; set it to another address, or leave it out to serve no metrics")]
    Admin(#[source] io::Error),
    /// Some requests had to be cut off.
    #[error("requests were still running after the time that SHUTDOWN_SECONDS allows")]
    CutOff,
}

/// Serves until `stop` completes, then lets running requests finish.
pub async fn serve(
    config: ApiConfig,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (stopping, stopped) = watch::channel(false);
    tokio::spawn(async move {
        stop.await;
        tracing::info!("stopping: running requests may finish");
        stopping.send_replace(true);
    });
    let db = Db::new(&config.database_url, config.database_connections, "norvalt api");
    let mut registry = metrics::registry(&db, &clock);
    let metrics = Arc::new(Metrics::new(&mut registry));
    let _admin = match config.admin_address {
        Some(address) => Some(admin::serve(address, registry).await.map_err(ServeError::Admin)?),
        None => None,
    };
    tokio::select! {
        usable = db.wait_until_usable() => usable?,
        () = until(stopped.clone()) => return Ok(()),
    }
    let state = AppState {
        verifier: Arc::new(Verifier::new(&config, clock)?),
        signatures: Arc::new(Signatures::new(&config.webhook_secrets)?),
        clerk_instance: config.clerk_instance.map(Arc::new),
        metrics,
        stopping: stopped.clone(),
        db: db.clone(),
    };
    let app = router::router(state, &config.cors_origins);
    tracing::info!(address = %listener.local_addr()?, version = common::VERSION, "serving");

    // Without it, small answers on a kept-alive connection can wait 40 ms for an acknowledgement.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let serving = axum::serve(listener, app).with_graceful_shutdown(until(stopped.clone()));
    let deadline = async {
        until(stopped).await;
        tokio::time::sleep(config.shutdown).await;
    };
    tokio::select! {
        served = serving.into_future() => served?,
        () = deadline => return Err(ServeError::CutOff),
    }
    db.close().await;
    tracing::info!("stopped: all requests were answered");
    Ok(())
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which happens after it has sent.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
