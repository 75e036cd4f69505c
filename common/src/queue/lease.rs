use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::{ClaimToken, DedicatedConnection, history::append_error};
use crate::db::{CHANNEL, Error, Result};

/// The right to run one job, until it runs out or another claim takes the job. Proven by the claim's token and not by
/// who we are: a process can claim a job again that it has itself lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Lease {
    id: i64,
    #[sqlx(rename = "lease_token")]
    token: Uuid,
}

impl Lease {
    /// `jobs.id`.
    pub fn job_id(&self) -> i64 {
        self.id
    }

    pub(super) fn token(&self) -> Uuid {
        self.token
    }
}

/// How often a worker tries to bury a job whose last attempt has lost its worker, before it is buried without.
const BURIALS: i16 = 3;

/// Why a job could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The job is not ours any more. Whatever was done for it must be rolled back.
    #[error("the lease was lost")]
    Lost,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl DedicatedConnection {
    /// Extends leases to `length` from now and returns those it extended. One that is missing is lost, or its job is
    /// being completed at this moment: such a row is not waited for.
    pub async fn renew(&mut self, leases: &[Lease], length: Duration) -> Result<Vec<Lease>> {
        let mut conn = self.take().await?;
        let (ids, tokens) = columns(leases);
        // In the order of ids, so that two of these cannot wait for each other.
        let renewal = sqlx::query_as(
            "-- queue::renew
             WITH held AS MATERIALIZED (
               SELECT j.id FROM jobs j
               JOIN unnest($1::bigint[], $2::uuid[]) AS l (id, token) ON j.id = l.id AND j.lease_token = l.token
               ORDER BY j.id FOR UPDATE OF j SKIP LOCKED)
             UPDATE jobs j SET lease_until = now() + $3 FROM held WHERE j.id = held.id
             RETURNING j.id, j.lease_token",
        )
        .bind(ids)
        .bind(tokens)
        .bind(length)
        .fetch_all(&mut conn);
        let renewed = self.within_limit(renewal).await?;
        self.put_back(conn);
        Ok(renewed)
    }

    /// Marks jobs done whose work has ended outside of a transaction. Returns the ids of those that were still ours, each
    /// with whether it is done: one whose row is locked is not waited for, since the others would have to wait, too.
    pub async fn complete_all(&mut self, leases: &[Lease]) -> Result<Vec<(i64, bool)>> {
        let mut conn = self.take().await?;
        let (ids, tokens) = columns(leases);
        // The last part sees the table as it was before: with the tokens.
        let completion = sqlx::query_as(
            "-- queue::complete_all
             WITH held AS MATERIALIZED (
               SELECT j.id FROM jobs j
               JOIN unnest($1::bigint[], $2::uuid[]) AS l (id, token) ON j.id = l.id AND j.lease_token = l.token
               ORDER BY j.id FOR UPDATE OF j SKIP LOCKED),
             done AS (
               UPDATE jobs j SET state = 'done', finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL
               FROM held WHERE j.id = held.id RETURNING j.id)
             SELECT j.id, done.id IS NOT NULL FROM jobs j
             JOIN unnest($1::bigint[], $2::uuid[]) AS l (id, token) ON j.id = l.id AND j.lease_token = l.token
             LEFT JOIN done ON done.id = j.id",
        )
        .bind(ids)
        .bind(tokens)
        .fetch_all(&mut conn);
        let done = self.within_limit(completion).await?;
        self.put_back(conn);
        Ok(done)
    }

    /// Gives back jobs whose work was not done, as if they had never been claimed, and announces them. Returns how
    /// many were still ours.
    pub async fn release(&mut self, leases: &[Lease]) -> Result<u64> {
        let mut conn = self.take().await?;
        let (ids, tokens) = columns(leases);
        let release = sqlx::query_scalar(
            "-- queue::release
             WITH held AS MATERIALIZED (
               SELECT j.id FROM jobs j
               JOIN unnest($1::bigint[], $2::uuid[]) AS l (id, token) ON j.id = l.id AND j.lease_token = l.token
               ORDER BY j.id FOR UPDATE OF j),
             released AS (
               UPDATE jobs j SET state = 'available', attempts = attempts - 1, lease_token = NULL, lease_until = NULL
               FROM held WHERE j.id = held.id RETURNING j.id)
             SELECT count(*), pg_notify($3, '') FROM released",
        )
        .bind(ids)
        .bind(tokens)
        .bind(CHANNEL)
        .fetch_one(&mut conn);
        let released: i64 = self.within_limit(release).await?;
        self.put_back(conn);
        Ok(released.unsigned_abs())
    }

    /// Gives back whatever a claim took whose answer never came. Nobody runs those jobs.
    pub async fn release_claim(&mut self, token: ClaimToken) -> Result<u64> {
        let mut conn = self.take().await?;
        let release = sqlx::query(
            "-- queue::release_claim
             UPDATE jobs SET state = 'available', attempts = attempts - 1, lease_token = NULL, lease_until = NULL
             WHERE state = 'running' AND lease_token = $1",
        )
        .bind(token.0)
        .execute(&mut conn);
        let released = self.within_limit(release).await?.rows_affected();
        self.put_back(conn);
        Ok(released)
    }

    /// Takes jobs whose leases ran out from whoever has them: up to `limit`, and returns how many. They can be claimed
    /// again, or are dead when that was the last attempt.
    ///
    /// The first time, a worker died with the job. From the second time on the job may be what kills it, so it waits
    /// up to 15 s by chance: else it would take the same neighbours down each time, until they were dead with it.
    pub async fn reap(&mut self, limit: u32) -> Result<u64> {
        let mut conn = self.take().await?;
        let reaping = sqlx::query(concat!(
            "-- queue::reap
             WITH expired AS MATERIALIZED (
               SELECT id, attempts >= max_attempts + CASE WHEN buried_by_worker THEN $2 ELSE 0 END AS dead FROM jobs
               WHERE state = 'running' AND lease_until < now() ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED)
             UPDATE jobs j SET lease_token = NULL, lease_until = NULL,
               state = CASE WHEN dead THEN 'dead' WHEN attempts = 1 THEN 'available' ELSE 'retryable' END::job_state,
               finished_at = CASE WHEN dead THEN now() END,
               run_at = CASE WHEN attempts = 1 THEN run_at ELSE now() + random() * interval '15 s' END,
               errors = ",
            append_error!("'the lease ran out: its worker crashed, hung or was cut off'"),
            " FROM expired WHERE j.id = expired.id"
        ))
        .bind(i64::from(limit))
        .bind(BURIALS)
        .execute(&mut conn);
        let reaped = self.within_limit(reaping).await?.rows_affected();
        self.put_back(conn);
        Ok(reaped)
    }
}

fn columns(leases: &[Lease]) -> (Vec<i64>, Vec<Uuid>) {
    leases.iter().map(|lease| (lease.id, lease.token)).unzip()
}
