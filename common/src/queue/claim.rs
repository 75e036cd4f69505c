use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::{DedicatedConnection, Lease};
use crate::{db::Result, ids::DealershipId};

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
    /// Whose work it is.
    pub dealership: Option<DealershipId>,
}

/// What a claim took.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// By dealership, in the order of their turns. The dealership of the last job had the last turn.
    pub jobs: Vec<ClaimedJob>,
    /// Whether a dealership got as many as it could, so that there may be more.
    pub more: bool,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    job: ClaimedJob,
    more: bool,
}

impl DedicatedConnection {
    /// Claims up to `limit` jobs of a queue for the length of `lease`. Dealerships are served in turn, beginning with the
    /// one that follows `after`: up to `limit` of them, the same number of jobs each, and each dealership's in the order of
    /// priority and age. The attempt counts from here, so that a job which kills its process does not do so forever.
    /// Nothing is claimed from a queue that is paused.
    pub async fn claim(
        &mut self,
        queue: &str,
        limit: usize,
        lease: Duration,
        token: ClaimToken,
        after: Option<DealershipId>,
    ) -> Result<Claim> {
        let mut conn = self.take().await?;
        let claim = sqlx::query_as(CLAIM)
            .bind(queue)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(token.0)
            .bind(lease)
            .bind(after)
            .fetch_all(&mut conn);
        let rows: Vec<Row> = self.within_limit(claim).await?;
        self.put_back(conn);
        let more = rows.iter().any(|row| row.more);
        Ok(Claim { jobs: rows.into_iter().map(|row| row.job).collect(), more })
    }
}

/// Each turn jumps to the next dealership in the index, however many jobs lie between, and from the last to the first, up
/// to `after`. A queue that is paused has no start, and so no turns. The ids go through an array, which the planner takes for short.
const CLAIM: &str = "-- queue::claim
    WITH RECURSIVE start AS (
      SELECT coalesce($5, '00000000-0000-0000-0000-000000000000'::uuid) AS after
      WHERE NOT EXISTS (SELECT FROM queues WHERE name = $1 AND paused_at IS NOT NULL)),
    turns AS (
      SELECT 0::bigint AS turn, after AS dealership, false AS wrapped FROM start
      UNION ALL
      SELECT turn + 1, next.dealership, next.wrapped
      FROM turns t, LATERAL (
        (SELECT for_dealership AS dealership, t.wrapped FROM jobs
         WHERE queue = $1 AND state = 'available' AND for_dealership > t.dealership ORDER BY for_dealership LIMIT 1)
        UNION ALL
        (SELECT for_dealership, true FROM jobs
         WHERE queue = $1 AND state = 'available' AND NOT t.wrapped ORDER BY for_dealership LIMIT 1)
        LIMIT 1) next
      WHERE turn < $2 AND NOT (next.wrapped AND next.dealership > (SELECT after FROM start))),
    share AS MATERIALIZED (SELECT $2 / greatest(max(turn), 1) AS jobs FROM turns),
    next AS MATERIALIZED (
      SELECT j.id FROM turns, LATERAL (
        SELECT id FROM jobs WHERE queue = $1 AND state = 'available' AND for_dealership = dealership
        ORDER BY priority, run_at, id LIMIT (SELECT jobs FROM share) FOR UPDATE SKIP LOCKED) j
      WHERE turn > 0),
    claimed AS (
      UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_token = $3, lease_until = now() + $4
      WHERE id = ANY (ARRAY (SELECT id FROM next)) RETURNING *)
    SELECT id, lease_token, kind, payload::text, payload_version, attempts, max_attempts, trace_context,
           greatest(extract(epoch FROM now() - run_at), 0)::float8 AS waited,
           nullif(for_dealership, '00000000-0000-0000-0000-000000000000') AS dealership,
           count(*) OVER (PARTITION BY for_dealership) = (SELECT jobs FROM share) AS more
    FROM claimed ORDER BY for_dealership <= (SELECT after FROM start), for_dealership, priority, run_at, id";
