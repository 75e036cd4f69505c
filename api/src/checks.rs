use axum::http::HeaderMap;
use common::{clock::Clock, config::ApiConfig};

use crate::{auth::Verifier, serve::ServeError, signatures::svix::Signatures};

/// The two checks that stand before everything else, by themselves: for measuring what they cost.
pub struct Checks {
    verifier: Verifier,
    signatures: Signatures,
}

impl Checks {
    /// As this configuration has them.
    pub fn new(config: &ApiConfig, clock: Clock) -> Result<Self, ServeError> {
        Ok(Self { verifier: Verifier::new(config, clock)?, signatures: Signatures::new(&config.webhook_secrets)? })
    }

    /// Whether this is a session token that may be trusted.
    pub async fn accepts_token(&self, token: &str) -> bool {
        self.verifier.verify(token).await.is_ok()
    }

    /// Whether a webhook with these headers is authentic.
    pub fn accepts_webhook(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        self.signatures.verify(headers, body).is_ok()
    }
}
