//! How much a dealership may write, and how much others may send it: the disk is shared by all of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, Method, header};
use common::ids::DealershipId;
use tokio::time::Instant;

use crate::{metrics::Metrics, problem::Problem};

const DAY: Duration = Duration::from_hours(24);
/// What a request costs besides its body: rows have columns of our own, entries in indexes and a record in the log.
const OVERHEAD: u64 = 1024;
/// The longest body that is read.
const MAX_BODY: u64 = 1 << 20;

/// A bucket of bytes for each dealership, which holds the quota of a day and is filled again within one. Kept in the
/// process, so that a write costs the database nothing.
pub(crate) struct WriteQuota {
    bytes: u64,
    /// When the bucket will be full again: all that is to be known of it. One for each dealership that has written.
    full_at: Mutex<HashMap<DealershipId, Instant>>,
}

impl WriteQuota {
    /// `bytes` for each dealership and day.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, full_at: Mutex::default() }
    }

    /// Lets a dealership write what a request with this head may bring, if it does.
    pub(crate) fn spend(&self, dealership: DealershipId, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        // Deleting needs no storage, and gives some back: whoever has written too much may do it.
        if method.is_safe() || *method == Method::DELETE {
            return Ok(());
        }
        self.spend_bytes(&[dealership], body_bytes(headers)).map_err(Problem::quota_exceeded)
    }

    /// Lets so many bytes be stored for each of these dealerships, or for none of them: how long to wait, then.
    pub(crate) fn spend_bytes(&self, dealerships: &[DealershipId], bytes: u64) -> Result<(), Duration> {
        let now = Instant::now();
        let cost = DAY.mul_f64(self.share(OVERHEAD.saturating_add(bytes)));
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spent = HashMap::new();
        for dealership in dealerships {
            let bucket = spent.get(dealership).or_else(|| full_at.get(dealership)).copied().unwrap_or(now);
            let after = now.max(bucket) + cost;
            let missing = after.saturating_duration_since(now + DAY);
            if !missing.is_zero() {
                return Err(missing);
            }
            spent.insert(*dealership, after);
        }
        full_at.extend(spent);
        Ok(())
    }

    /// Of the quota.
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    fn share(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes as f64
    }
}

/// The same for what senders who are not signed in send for a dealership: forms, mails and ADF documents. Apart from what
/// its people write, so that neither stops the other.
pub(crate) struct InboundQuota(WriteQuota);

impl InboundQuota {
    /// `bytes` for each dealership and day.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(WriteQuota::new(bytes))
    }

    /// Lets a body of this length be stored for each of these dealerships, or for none. Whoever is refused sends again later:
    /// nothing of it is kept.
    pub(crate) fn spend(&self, metrics: &Metrics, dealerships: &[DealershipId], bytes: usize) -> Result<(), Problem> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.spend_bytes(dealerships, bytes).map_err(|wait| {
            metrics.quota_exceeded();
            tracing::warn!(?dealerships, "more was sent for the dealership than INBOUND_QUOTA_MIB allows in a day");
            Problem::inbound_quota_exceeded(wait)
        })
    }
}

/// How long the body is; as long as may be, if it does not say so.
fn body_bytes(headers: &HeaderMap) -> u64 {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return MAX_BODY;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(0)
}
