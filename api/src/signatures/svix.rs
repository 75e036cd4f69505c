//! Signatures of webhooks: what can be seen of one before the body is read, and whether it is valid for the body.

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{clock::Clock, config::WebhookSecrets};
use svix::webhooks::{Webhook, WebhookError};

/// Longest id of a delivery, in bytes. Svix's have about 30.
const MAX_ID: usize = 255;
/// How far the sender's clock may be off, in seconds. <https://docs.svix.com/receiving/verifying-payloads/how-manual>
const TOLERANCE: u64 = 5 * 60;
/// Length of an HMAC-SHA256 in bytes.
const SIGNATURE: usize = 32;

/// Tells authentic webhooks from others. During a rotation several secrets are live.
/// <https://docs.svix.com/receiving/verifying-payloads/how-manual>
pub(crate) struct Signatures(Vec<Webhook>);

/// What is wrong with a webhook whose body need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Implausible {
    #[error("the id is missing")]
    NoId,
    #[error("the id is longer than {MAX_ID} bytes")]
    LongId,
    #[error("the timestamp is missing or not a number")]
    NoTimestamp,
    #[error("the timestamp is too far from now")]
    Stale,
    #[error("there is no signature of version 1")]
    NoSignature,
}

impl Signatures {
    pub(crate) fn new(secrets: &WebhookSecrets) -> Result<Self, WebhookError> {
        secrets.iter().map(|secret| Webhook::new(secret.expose())).collect::<Result<_, _>>().map(Self)
    }

    /// The id of an authentic delivery, the same for every attempt; for the log, why it is not authentic. The raw bytes count, before
    /// any parsing.
    pub(crate) fn verify<'h>(&self, headers: &'h HeaderMap, body: &[u8]) -> Result<&'h str, String> {
        let refusals: Vec<_> = self.0.iter().map_while(|secret| secret.verify(body, headers).err()).collect();
        if refusals.len() == self.0.len() {
            let reasons: Vec<_> = refusals.iter().map(ToString::to_string).collect();
            return Err(reasons.join("; "));
        }
        header(headers, "svix-id", "webhook-id").ok_or_else(|| Implausible::NoId.to_string())
    }
}

/// Whether one of the secrets has signed this, and lately.
pub(crate) fn is_signed(secrets: &WebhookSecrets, headers: &HeaderMap, body: &[u8]) -> bool {
    let webhooks = secrets.iter().filter_map(|secret| Webhook::new(secret.expose()).ok());
    webhooks.into_iter().any(|webhook| webhook.verify(body, headers).is_ok())
}

/// Whether a webhook with these headers can be authentic.
pub(crate) fn check_headers(headers: &HeaderMap) -> Result<(), Implausible> {
    let id = header(headers, "svix-id", "webhook-id").filter(|id| !id.is_empty()).ok_or(Implausible::NoId)?;
    if id.len() > MAX_ID {
        return Err(Implausible::LongId);
    }
    let timestamp = header(headers, "svix-timestamp", "webhook-timestamp").and_then(|time| time.parse::<i64>().ok());
    // As the check of the signature does, whatever the time of the rest of the process is.
    let age = Clock::system().now().timestamp().abs_diff(timestamp.ok_or(Implausible::NoTimestamp)?);
    if age > TOLERANCE {
        return Err(Implausible::Stale);
    }
    let signatures = header(headers, "svix-signature", "webhook-signature").unwrap_or_default();
    let is_signature = |signature: &str| {
        let signature = signature.strip_prefix("v1,").and_then(|encoded| STANDARD.decode(encoded).ok());
        signature.is_some_and(|signature| signature.len() == SIGNATURE)
    };
    if signatures.split(' ').any(is_signature) { Ok(()) } else { Err(Implausible::NoSignature) }
}

/// The header of Svix's, or else the same under the name that is nobody's, in the order in which they are verified.
fn header<'h>(headers: &'h HeaderMap, svix: &str, unbranded: &str) -> Option<&'h str> {
    headers.get(svix).or_else(|| headers.get(unbranded))?.to_str().ok()
}
