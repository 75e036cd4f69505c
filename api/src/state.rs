use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use common::{config::Senders, db::ReadinessCheck, ids::ClerkInstanceId, secrets::Keyring};
use server::Phase;
use tokio::sync::watch;

use crate::{
    admission::Admission,
    auth::Authenticator,
    client::TrustedProxies,
    idempotency::UnderWay,
    log_sample::RefusalLines,
    metrics::Metrics,
    quota::{InboundQuota, WriteQuota},
    rate_limit::{FormLimits, RateLimiter},
    replica::Lists,
    signatures::svix::Signatures,
    spool::Spool,
};

/// What handlers share. Each layer and each handler has it, and they are copied for every request: a copy is one count.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Shared>);

pub(crate) struct Shared {
    /// The way to the database.
    pub(crate) admission: Admission,
    /// The way to its standby.
    pub(crate) lists: Lists,
    pub(crate) readiness: Arc<ReadinessCheck>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) signatures: Arc<Signatures>,
    /// Whose webhooks are applied, if told.
    pub(crate) clerk_instance: Option<Arc<ClerkInstanceId>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rate_limiter: Arc<RateLimiter>,
    pub(crate) refusal_lines: RefusalLines,
    /// Where long mails are kept.
    pub(crate) spool: Spool,
    pub(crate) form_limits: Arc<FormLimits>,
    /// How whoever passes inquiries on shows that it is them.
    pub(crate) senders: Arc<Senders>,
    /// Where senders reach us.
    pub(crate) addresses: Arc<Addresses>,
    /// Seals what dealerships give us to keep.
    pub(crate) keyring: Keyring,
    /// The POSTs with a key that are being answered.
    pub(crate) under_way: UnderWay,
    /// What each dealership may write.
    pub(crate) write_quota: Arc<WriteQuota>,
    /// What may be sent for each dealership.
    pub(crate) inbound_quota: Arc<InboundQuota>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) has_assistant: HasAssistant,
    /// Whether the process is on its way out.
    pub(crate) phase: watch::Receiver<Phase>,
}

impl From<Shared> for AppState {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What extractors and handlers take a part of it by.
macro_rules! parts {
    ($($name:ident: $type:ty,)*) => {
        $(impl FromRef<AppState> for $type {
            fn from_ref(state: &AppState) -> Self {
                state.$name.clone()
            }
        })*
    };
}

parts! {
    admission: Admission,
    lists: Lists,
    readiness: Arc<ReadinessCheck>,
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
    rate_limiter: Arc<RateLimiter>,
    under_way: UnderWay,
    write_quota: Arc<WriteQuota>,
    trusted_proxies: TrustedProxies,
    has_assistant: HasAssistant,
    phase: watch::Receiver<Phase>,
}

/// Whether workers have an assistant that they can ask.
#[derive(Clone, Copy)]
pub(crate) struct HasAssistant(pub(crate) bool);

/// Where senders reach us, as far as we are told.
pub(crate) struct Addresses {
    /// Of the API, without a slash at the end.
    pub(crate) public_url: Option<String>,
    /// Of mails.
    pub(crate) inbound_domain: Option<String>,
}
