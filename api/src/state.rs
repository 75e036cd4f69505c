use std::sync::Arc;

use axum::extract::FromRef;
use common::{config::Senders, db::ReadinessCheck, ids::ClerkInstanceId, secrets::Keyring};
use server::Phase;
use tokio::sync::watch;

use crate::{
    admission::Admission,
    auth::Authenticator,
    client::TrustedProxies,
    idempotency::UnderWay,
    metrics::Metrics,
    quota::{InboundQuota, WriteQuota},
    rate_limit::{FormLimits, RateLimiter},
    replica::Lists,
    signatures::svix::Signatures,
    spool::Spool,
};

#[derive(Clone, FromRef)]
pub(crate) struct AppState {
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
