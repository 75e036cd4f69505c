//! What operators do with jobs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::{
    db::{Db, Error, JobTx, Result, SystemTx},
    ids::DealershipId,
};

/// Rows changed in one transaction, at most: claims have to step over what is locked.
const BATCH: u16 = 500;

/// A job as an operator sees it.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct JobRecord {
    /// `jobs.id`.
    pub id: i64,
    /// Where it waits.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// Whose work it is.
    pub dealership: Option<DealershipId>,
    /// What is to be done.
    pub payload: Value,
    /// Where it is in its life, as drawn in `docs/operations/queue.md`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i16,
    /// How often it may be tried.
    pub max_attempts: i16,
    /// Not to be run before this time.
    pub run_at: DateTime<Utc>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why attempts failed.
    pub errors: Value,
}

/// The states that a job can be in.
pub const STATES: [&str; 7] = ["available", "scheduled", "retryable", "running", "done", "dead", "cancelled"];

/// Which jobs are meant; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Just this one.
    pub id: Option<i64>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
}

/// How many jobs of one kind are in one state.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct JobCount {
    /// The kind.
    pub kind: String,
    /// The state.
    pub state: String,
    /// How many.
    pub count: i64,
    /// When the oldest of them was, or is, to be run.
    pub oldest: DateTime<Utc>,
}

/// The jobs that are meant, newest first, up to `limit`.
pub async fn list(tx: &mut SystemTx, filter: &JobFilter, limit: i64) -> Result<Vec<JobRecord>> {
    sqlx::query_as(
        "-- queue::list
         SELECT id, queue, kind, nullif(for_dealership, '00000000-0000-0000-0000-000000000000') AS dealership, payload,
                state::text AS state, attempts, max_attempts, run_at, created_at, finished_at, errors
         FROM jobs
         WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR state = $2::job_state) AND ($3::text IS NULL OR kind = $3)
         ORDER BY id DESC LIMIT $4",
    )
    .bind(filter.id)
    .bind(&filter.state)
    .bind(&filter.kind)
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)
}

/// How many jobs there are of each kind and state.
pub async fn count(tx: &mut SystemTx) -> Result<Vec<JobCount>> {
    sqlx::query_as(
        "-- queue::count
         SELECT kind, state::text AS state, count(*) AS count, min(run_at) AS oldest FROM jobs GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)
}

/// Makes dead jobs available again, with all their attempts, and returns which. What is not dead is left alone, so
/// twice has the effect of once. So is a unique job while another one is there to do the same.
pub async fn revive(tx: &mut SystemTx, filter: &JobFilter) -> Result<Vec<i64>> {
    let revived: Vec<i64> = sqlx::query_scalar(
        "-- queue::revive
         WITH meant AS (
           SELECT id, queue, unique_key FROM jobs
           WHERE state = 'dead' AND ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR kind = $2))
         UPDATE jobs SET state = 'available', attempts = 0, finished_at = NULL, run_at = now()
         WHERE state = 'dead' AND id IN (
           SELECT id FROM meant m
           WHERE NOT EXISTS (SELECT FROM meant newer WHERE (newer.queue, newer.unique_key) = (m.queue, m.unique_key) AND newer.id > m.id)
             AND NOT EXISTS (SELECT FROM jobs other WHERE (other.queue, other.unique_key) = (m.queue, m.unique_key)
                             AND other.state IN ('available', 'scheduled', 'retryable', 'running')))
         RETURNING id",
    )
    .bind(filter.id)
    .bind(&filter.kind)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    if !revived.is_empty() {
        tx.note_enqueued();
    }
    Ok(revived)
}

/// Cancels jobs that wait, in short transactions of its own, and returns which. What runs or is over is left alone.
pub async fn cancel(db: &Db, filter: &JobFilter) -> Result<Vec<i64>> {
    let mut cancelled: Vec<i64> = Vec::new();
    loop {
        let mut tx = db.system().await?;
        let batch: Vec<i64> = sqlx::query_scalar(
            "-- queue::cancel
             WITH next AS MATERIALIZED (
               SELECT id FROM jobs
               WHERE id > $3 AND state IN ('available', 'scheduled', 'retryable')
                 AND ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR kind = $2)
               ORDER BY id LIMIT $4 FOR UPDATE)
             UPDATE jobs SET state = 'cancelled', finished_at = now() WHERE id = ANY (ARRAY (SELECT id FROM next))
             RETURNING id",
        )
        .bind(filter.id)
        .bind(&filter.kind)
        .bind(cancelled.iter().max().unwrap_or(&0))
        .bind(i64::from(BATCH))
        .fetch_all(tx.conn())
        .await
        .map_err(Error::from)?;
        tx.commit().await?;
        cancelled.extend(&batch);
        if batch.len() < usize::from(BATCH) {
            return Ok(cancelled);
        }
    }
}
