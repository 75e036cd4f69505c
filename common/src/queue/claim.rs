use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::{Lease, QueueConnection};
use crate::db::Result;

/// Marks everything that one claim takes. Made before the claim is sent, so that a claim whose answer was lost can
/// still be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimToken(pub(super) Uuid);

impl ClaimToken {
    /// A token no other claim has.
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Default for ClaimToken {
    fn default() -> Self {
        Self::new()
    }
}

/// A job that is ours to run for as long as its lease holds.
#[derive(Debug, Clone, FromRow)]
pub struct ClaimedJob {
    /// The right to run it.
    #[sqlx(flatten)]
    pub lease: Lease,
    /// What kind of work it is: [`super::Job::KIND`].
    pub kind: String,
    /// JSON. Not parsed here: one that cannot be read must fail its own job, not the whole claim.
    pub payload: String,
    /// The version of the payload's shape: [`super::Job::VERSION`].
    pub payload_version: i16,
    /// Which attempt this is, from 1.
    #[sqlx(rename = "attempts")]
    pub attempt: i16,
    /// After how many it is dead.
    pub max_attempts: i16,
    /// W3C `traceparent` of what caused it.
    pub trace_context: Option<String>,
    /// For how many seconds it had been due when it was claimed.
    pub waited: f64,
}

impl QueueConnection {
    /// Claims up to `limit` jobs of a queue for the length of `lease`, in the order in which they are to run. The
    /// attempt counts from here, so that a job which kills its process does not do so for ever.
    pub async fn claim(
        &mut self,
        queue: &str,
        limit: usize,
        lease: Duration,
        token: ClaimToken,
    ) -> Result<Vec<ClaimedJob>> {
        let mut conn = self.take().await?;
        let claim = sqlx::query_as(
            "-- queue::claim
             WITH next AS MATERIALIZED (
               SELECT id FROM jobs WHERE queue = $1 AND state = 'available'
               ORDER BY priority, run_at, id LIMIT $2 FOR UPDATE SKIP LOCKED),
             claimed AS (
               UPDATE jobs j SET state = 'running', attempts = attempts + 1, lease_token = $3, lease_until = now() + $4
               FROM next WHERE j.id = next.id RETURNING j.*)
             SELECT id, lease_token, kind, payload::text, payload_version, attempts, max_attempts, trace_context,
                    greatest(extract(epoch FROM now() - run_at), 0)::float8 AS waited
             FROM claimed ORDER BY priority, run_at, id",
        )
        .bind(queue)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(token.0)
        .bind(lease)
        .fetch_all(&mut conn);
        let jobs = self.within_limit(claim).await?;
        self.put_back(conn);
        Ok(jobs)
    }
}
