use std::{future::Future, io, sync::Arc, time::Duration};

use common::{
    clock::Clock,
    config::{ApiConfig, ClientLimits},
    db::{Db, NotUsable, ReadinessCheck, Replica, UnusableReplica},
    metrics,
    secrets::{KeysError, require_keys},
};
use server::{App, Limits, Phase, reached};
use tokio::{net::TcpListener, sync::watch, time::sleep};

use crate::{
    admin,
    admission::Admission,
    auth::{Authenticator, Verifier},
    client::TrustedProxies,
    idempotency::UnderWay,
    log_sample::RefusalLines,
    metrics::Metrics,
    quota::{InboundQuota, WriteQuota},
    rate_limit::{FormLimits, RateLimiter},
    replica::Lists,
    router,
    signatures::svix::Signatures,
    spool::Spool,
    state::{Addresses, AppState, HasAssistant, Shared},
    unreadable,
};

/// The part of all connections that one client may have: many people behind one address need some hundred.
const CLIENT_PART: usize = 4;

/// Why the API does not serve, or no longer does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database is not fit for it.
    #[error(transparent)]
    Database(#[from] NotUsable),
    /// Lists cannot be read from where they are to be.
    #[error(transparent)]
    Replica(#[from] UnusableReplica),
    /// The client for fetching keys cannot be made.
    #[error("cannot make an HTTP client")]
    HttpClient(#[from] reqwest::Error),
    /// A webhook secret cannot be used.
    #[error("CLERK_WEBHOOK_SECRET cannot be used")]
    WebhookSecret(#[from] svix::webhooks::WebhookError),
    #[error("cannot accept connections")]
    Listener(#[from] io::Error),
    /// The address for operators cannot be had.
    #[error("cannot listen on API_ADMIN_ADDRESS; set it to another address, or leave it out to serve no metrics")]
    Admin(#[source] io::Error),
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Some requests had to be cut off.
    #[error("requests were still running after the time that SHUTDOWN_SECONDS allows")]
    CutOff,
}

/// Serves until `stop` completes, and for a while longer; then lets running requests finish.
pub async fn serve(
    config: ApiConfig,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (to, phase) = watch::channel(Phase::Serving);
    tokio::spawn(leave(stop, config.drain, to));
    let db = Db::new(&config.database_url, config.database_connections, "norvalt api");
    let replica = replica(&config, &db);
    let mut registry = metrics::registry(&db, &clock);
    let metrics = Arc::new(Metrics::new(&mut registry, replica.clone()));
    let _admin = match config.admin_address {
        Some(address) => Some(admin::serve(address, registry).await.map_err(ServeError::Admin)?),
        None => None,
    };
    let usable = async {
        db.wait_until_usable().await?;
        Ok::<_, ServeError>(require_keys(&db, &config.keyring).await?)
    };
    tokio::select! {
        usable = usable => usable?,
        () = reached(phase.clone(), Phase::Draining) => return Ok(()),
    }
    if let Some(replica) = &replica {
        // On the heap: it is large, and rare.
        Box::pin(replica.check()).await?;
    }
    let readiness = Arc::new(ReadinessCheck::new(&db));
    let (limits, shutdown, cors_origins) = (limits(&config), config.shutdown, config.cors_origins.clone());
    let explain = unreadable::explain(metrics.clone());
    let state = state(config, clock, &db, replica, metrics, phase.clone(), readiness.clone())?;
    let app = App::explaining(router::router(state, &cors_origins), explain);
    tracing::info!(address = %listener.local_addr()?, version = common::VERSION, "serving");

    let deadline = async {
        reached(phase.clone(), Phase::Draining).await;
        sleep(shutdown).await;
    };
    tokio::select! {
        () = server::serve(listener, app, limits, phase.clone()) => {}
        () = deadline => return Err(ServeError::CutOff),
        () = readiness.keep_asking() => {}
    }
    db.close().await;
    tracing::info!("stopped: all requests were answered");
    Ok(())
}

fn state(
    config: ApiConfig,
    clock: Clock,
    db: &Db,
    replica: Option<Replica>,
    metrics: Arc<Metrics>,
    phase: watch::Receiver<Phase>,
    readiness: Arc<ReadinessCheck>,
) -> Result<AppState, ServeError> {
    let admission = |db: &Db| Admission::new(db.clone(), config.database_connections);
    let lists = Lists(replica.map(|replica| {
        let admission = admission(replica.db());
        (replica, admission)
    }));
    let rate_limiter = Arc::new(RateLimiter::new(config.clients.anonymous_burst));
    let trusted_proxies = TrustedProxies(config.trusted_proxies);
    Ok(AppState::from(Shared {
        authenticator: Arc::new(Authenticator {
            verifier: Verifier::new(&config, clock)?,
            metrics: metrics.clone(),
            rate_limiter: rate_limiter.clone(),
            trusted_proxies,
        }),
        signatures: Arc::new(Signatures::new(&config.webhook_secrets)?),
        admission: admission(db),
        clerk_instance: config.clerk_instance.map(Arc::new),
        metrics,
        under_way: UnderWay::default(),
        write_quota: Arc::new(WriteQuota::new(config.dealership_quota)),
        inbound_quota: Arc::new(InboundQuota::new(config.inbound_quota)),
        rate_limiter,
        refusal_lines: RefusalLines::default(),
        spool: Spool::new(),
        form_limits: Arc::new(FormLimits::new()),
        senders: Arc::new(config.senders),
        addresses: Arc::new(Addresses { public_url: config.public_url, inbound_domain: config.inbound_domain }),
        keyring: config.keyring,
        trusted_proxies,
        has_assistant: HasAssistant(config.has_assistant),
        phase,
        readiness,
        lists,
    }))
}

fn replica(config: &ApiConfig, primary: &Db) -> Option<Replica> {
    let url = config.read_database_url.as_ref()?;
    Some(Replica::new(primary, Db::of_standby(url, config.database_connections, "norvalt api")))
}

fn limits(config: &ApiConfig) -> Limits {
    let ClientLimits { connections, first_head, next_head, stall, .. } = config.clients;
    // Behind a proxy, all connections come from its address.
    let per_client = (config.trusted_proxies == 0).then(|| (connections / CLIENT_PART).max(1));
    Limits { connections, per_client, first_head, next_head, stall }
}

async fn leave(stop: impl Future<Output = ()>, drain: Duration, phase: watch::Sender<Phase>) {
    stop.await;
    tracing::info!(seconds = drain.as_secs(), "stopping: not ready any more, but serving for so long");
    phase.send_replace(Phase::Draining);
    sleep(drain).await;
    tracing::info!("stopping: running requests may finish");
    phase.send_replace(Phase::Closing);
}
