use std::sync::Arc;

use axum::extract::FromRef;
use common::{db::ReadinessCheck, ids::ClerkInstanceId};
use server::Phase;
use tokio::sync::watch;

use crate::{
    admission::Admission, auth::Authenticator, client::TrustedProxies, metrics::Metrics, quota::WriteQuota,
    rate_limit::RateLimiter, signatures::Signatures,
};

#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    /// The way to the database.
    pub(crate) admission: Admission,
    pub(crate) readiness: Arc<ReadinessCheck>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) signatures: Arc<Signatures>,
    /// Whose webhooks are applied, if told.
    pub(crate) clerk_instance: Option<Arc<ClerkInstanceId>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rate_limiter: Arc<RateLimiter>,
    /// What each dealership may write.
    pub(crate) write_quota: Arc<WriteQuota>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether the process is on its way out.
    pub(crate) phase: watch::Receiver<Phase>,
}
