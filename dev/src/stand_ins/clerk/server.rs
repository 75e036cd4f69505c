use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode},
    response::IntoResponse,
    routing::get,
};
use chrono::{DateTime, Utc};
use common::clock::Clock;
use tokio::net::TcpListener;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::{
    ChangeError, Endpoint, Event, Faults, INSTANCE_ID, Instance, SessionToken, SigningKey, StoreError, Webhooks,
    backend_api, control, jwks, store::Store,
};
use crate::serving::{self, Serving};

/// What a stand-in starts with.
pub struct Options {
    /// The first of its signing keys.
    pub key: SigningKey,
    /// What the Backend API asks for, `sk_test_…`.
    pub secret_key: String,
    /// Where events go, if anywhere.
    pub endpoint: Option<Endpoint>,
    /// Where the backend's API is, to see there whether somebody who joined has access by now.
    pub api: Option<String>,
    /// The claim `azp` of the tokens that it gives out.
    pub authorized_party: Option<String>,
    /// Its name for itself, `ins_…`.
    pub instance_id: String,
    /// What it knows when nothing is kept.
    pub initial: Instance,
    /// Where it keeps what it knows; without it, nothing outlives it.
    pub state_file: Option<PathBuf>,
    pub clock: Clock,
    /// Hears of each attempt to deliver a webhook.
    pub tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// The demo dealerships with a key of their own, in memory, and nobody who receives webhooks.
    pub fn in_memory(key: SigningKey) -> Self {
        Self {
            key,
            secret_key: "sk_test_stand_in".to_owned(),
            endpoint: None,
            api: None,
            authorized_party: None,
            instance_id: INSTANCE_ID.to_owned(),
            initial: Instance::demo(),
            state_file: None,
            clock: Clock::system(),
            tell: Box::new(|line| tracing::info!("{line}")),
        }
    }
}

/// A running stand-in. It ends when it is dropped.
pub struct StandIn {
    clerk: Clerk,
    serving: Serving,
}

/// What the request handlers share.
#[derive(Clone)]
pub(super) struct Clerk(Arc<Shared>);

struct Shared {
    keys: RwLock<Vec<Arc<SigningKey>>>,
    store: Store,
    webhooks: Webhooks,
    clock: Clock,
    secret_key: String,
    api: Option<String>,
    authorized_party: Option<String>,
    url: String,
    jwks_requests: AtomicU64,
    outage: AtomicBool,
    no_keys: AtomicBool,
    jwks_delay_ms: AtomicU64,
    instance_id: String,
    faults: Faults,
}

impl StandIn {
    /// Serves on `listener` until [`StandIn::stop`].
    pub async fn start(listener: TcpListener, options: Options) -> Result<Self, StoreError> {
        let clerk = Clerk(Arc::new(Shared {
            keys: RwLock::new(vec![Arc::new(options.key)]),
            store: Store::open(options.state_file, options.initial)?,
            webhooks: Webhooks::new(options.endpoint, options.clock.clone(), options.tell),
            clock: options.clock,
            secret_key: options.secret_key,
            api: options.api,
            authorized_party: options.authorized_party,
            url: format!("http://{}", serving::address(&listener)),
            jwks_requests: AtomicU64::new(0),
            outage: AtomicBool::new(false),
            no_keys: AtomicBool::new(false),
            jwks_delay_ms: AtomicU64::new(0),
            instance_id: options.instance_id,
            faults: Faults::default(),
        }));
        let serving = Serving::start(listener, router(clerk.clone())).await;
        Ok(Self { clerk, serving })
    }

    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// Where its public keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.url())
    }

    /// The key that it signs with now.
    pub fn key(&self) -> Arc<SigningKey> {
        self.clerk.key()
    }

    /// Signs with this key from now on. Older keys are still published until [`StandIn::forget_old_keys`].
    pub fn rotate_key(&self, key: SigningKey) {
        self.clerk.0.keys.write().unwrap_or_else(PoisonError::into_inner).insert(0, Arc::new(key));
    }

    /// Publishes no key but the one that it signs with.
    pub fn forget_old_keys(&self) {
        self.clerk.0.keys.write().unwrap_or_else(PoisonError::into_inner).truncate(1);
    }

    /// How often anybody asked for the public keys.
    pub fn jwks_requests(&self) -> u64 {
        self.clerk.0.jwks_requests.load(Ordering::Relaxed)
    }

    /// Answers everything but the people's own routes with 503, until told otherwise.
    pub fn set_outage(&self, outage: bool) {
        self.clerk.0.outage.store(outage, Ordering::Relaxed);
    }

    /// Publishes an empty set of keys, until told otherwise.
    pub fn publish_nothing(&self, nothing: bool) {
        self.clerk.0.no_keys.store(nothing, Ordering::Relaxed);
    }

    /// Takes its time whenever somebody asks for the public keys.
    pub fn delay_jwks(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.clerk.0.jwks_delay_ms.store(millis, Ordering::Relaxed);
    }

    /// What is wrong with its Backend API.
    pub fn faults(&self) -> &Faults {
        &self.clerk.0.faults
    }

    /// A token for somebody it knows, ready to be minted or changed first. Without an organization it is for the
    /// person's only one, with an empty name for none.
    pub fn session_token(&self, user: &str, organization: Option<&str>) -> Result<SessionToken, ChangeError> {
        self.clerk.session_token(user, organization)
    }

    /// What it knows at the moment.
    pub fn instance(&self) -> Instance {
        self.clerk.read(Instance::clone)
    }

    /// Changes what it knows and sends the events; to lose them, leave them out of what the closure returns.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Instance, DateTime<Utc>) -> Result<(T, Vec<Event>), ChangeError>,
    ) -> Result<T, StoreError> {
        self.clerk.change(change).map(|(outcome, _)| outcome)
    }

    pub fn webhooks(&self) -> &Webhooks {
        self.clerk.webhooks()
    }

    /// Finishes the requests under way and ends. Webhooks that were not delivered yet are forgotten.
    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

impl Clerk {
    pub(super) fn key(&self) -> Arc<SigningKey> {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(keys.first().expect("a key is only ever replaced by another"))
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Instance) -> T) -> T {
        self.0.store.read(look)
    }

    /// Makes a change and sends its events; returns the numbers of the deliveries as well.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Instance, DateTime<Utc>) -> Result<(T, Vec<Event>), ChangeError>,
    ) -> Result<(T, Vec<usize>), StoreError> {
        let (outcome, events) = self.0.store.change(|instance| change(instance, self.0.clock.now()))?;
        let of_instance = |event: Event| event.of_instance(&self.0.instance_id);
        Ok((outcome, events.into_iter().map(|event| self.0.webhooks.send(&of_instance(event))).collect()))
    }

    pub(super) fn session_token(&self, user: &str, organization: Option<&str>) -> Result<SessionToken, ChangeError> {
        let token = self.read(|instance| instance.session_token(user, organization))?.issued_at(self.0.clock.now());
        Ok(match &self.0.authorized_party {
            Some(origin) => token.authorized_party(origin),
            None => token,
        })
    }

    pub(super) fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    pub(super) fn api(&self) -> Option<&str> {
        self.0.api.as_deref()
    }

    pub(super) fn url(&self) -> &str {
        &self.0.url
    }

    pub(super) fn secret_key(&self) -> &str {
        &self.0.secret_key
    }

    pub(super) fn has_outage(&self) -> bool {
        self.0.outage.load(Ordering::Relaxed)
    }

    pub(super) fn instance_id(&self) -> &str {
        &self.0.instance_id
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.0.faults
    }
}

fn router(clerk: Clerk) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(public_keys))
        .merge(backend_api::router(clerk.clone()))
        .merge(control::router())
        .layer(for_local_browsers())
        .with_state(clerk)
}

/// Dashboards that are being developed on this host may fetch tokens; no other web site may.
fn for_local_browsers() -> CorsLayer {
    let is_local = |origin: &HeaderValue, _: &_| {
        let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
        matches!(name, Some("localhost" | "127.0.0.1" | "[::1]"))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_local))
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
}

async fn public_keys(State(clerk): State<Clerk>) -> impl IntoResponse {
    clerk.0.jwks_requests.fetch_add(1, Ordering::Relaxed);
    if clerk.has_outage() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    tokio::time::sleep(Duration::from_millis(clerk.0.jwks_delay_ms.load(Ordering::Relaxed))).await;
    if clerk.0.no_keys.load(Ordering::Relaxed) {
        return Json(jwks([])).into_response();
    }
    let keys = clerk.0.keys.read().unwrap_or_else(PoisonError::into_inner);
    Json(jwks(keys.iter().map(AsRef::as_ref))).into_response()
}
