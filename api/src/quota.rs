//! How much a dealership may write: the disk is shared by all of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, Method, header};
use common::ids::DealershipId;
use tokio::time::Instant;

use crate::problem::Problem;

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
        // Deleting needs no storage.
        if *method != Method::POST && *method != Method::PATCH {
            return Ok(());
        }
        let now = Instant::now();
        let cost = DAY.mul_f64(self.share(OVERHEAD + body_bytes(headers)));
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = full_at.entry(dealership).or_insert(now);
        let after = now.max(*bucket) + cost;
        let missing = after.saturating_duration_since(now + DAY);
        if !missing.is_zero() {
            return Err(Problem::quota_exceeded(missing));
        }
        *bucket = after;
        Ok(())
    }

    /// Of the quota.
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    fn share(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes as f64
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
