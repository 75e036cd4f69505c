//! What operators decide while workers run, and how workers learn of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::DedicatedConnection;
use crate::{
    audit::{Operator, Subject, Verb, record},
    db::{CHANNEL, Result, SystemTx},
};

/// What is announced besides work: an operator has paused or resumed a queue, or cancelled a job that runs.
pub(super) const INTERVENTION: &str = "intervention";

/// A queue from which nothing is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct PausedQueue {
    pub name: String,
    pub paused_at: DateTime<Utc>,
    pub paused_by: String,
    /// Why, if they said so.
    pub reason: Option<String>,
}

/// What operators want of a worker at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct Interventions {
    /// Queues from which no job may begin.
    pub paused: Vec<String>,
    /// Jobs of this worker that are not to go on.
    pub cancelled: Vec<i64>,
}

/// The queues that are paused.
pub async fn paused(tx: &mut SystemTx) -> Result<Vec<PausedQueue>> {
    Ok(sqlx::query_as(
        "-- queue::paused
         SELECT name, paused_at, paused_by, reason FROM queues WHERE paused_at IS NOT NULL ORDER BY name",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Lets no more jobs of a queue begin, until it is resumed; those that run go on. Returns whether it ran before.
pub async fn pause(tx: &mut SystemTx, queue: &str, reason: Option<&str>, by: &Operator) -> Result<bool> {
    let changed = sqlx::query(
        "-- queue::pause
         INSERT INTO queues AS q (name, paused_at, paused_by, reason) VALUES ($1, now(), $2, $3)
         ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by, reason = excluded.reason
           WHERE q.paused_at IS NULL",
    )
    .bind(queue)
    .bind(by.name())
    .bind(reason)
    .execute(tx.conn())
    .await?;
    decided(tx, changed.rows_affected(), Verb::Pause, Subject::Queue(queue, reason), by).await
}

/// Lets the jobs of a paused queue begin again. Returns whether it was paused.
pub async fn resume(tx: &mut SystemTx, queue: &str, by: &Operator) -> Result<bool> {
    let changed = sqlx::query(
        "-- queue::resume
         UPDATE queues SET paused_at = NULL, paused_by = NULL, reason = NULL WHERE name = $1 AND paused_at IS NOT NULL",
    )
    .bind(queue)
    .execute(tx.conn())
    .await?;
    decided(tx, changed.rows_affected(), Verb::Resume, Subject::Queue(queue, None), by).await
}

async fn decided(tx: &mut SystemTx, changed: u64, verb: Verb, queue: Subject<'_>, by: &Operator) -> Result<bool> {
    if changed > 0 {
        record(tx, by, verb, queue).await?;
        announce_intervention(tx).await?;
    }
    Ok(changed > 0)
}

/// Has workers look at once, when this commits. Without it they look every second.
pub(super) async fn announce_intervention(tx: &mut SystemTx) -> Result<()> {
    sqlx::query("-- queue::announce_intervention\nSELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(INTERVENTION)
        .execute(tx.conn())
        .await?;
    Ok(())
}

impl DedicatedConnection {
    /// What operators have decided that concerns a worker which holds these jobs.
    pub async fn interventions(&mut self, held: &[i64]) -> Result<Interventions> {
        let mut conn = self.take().await?;
        // A job that was cancelled is never run again, so that its id alone says it.
        let question = sqlx::query_as(
            "-- queue::interventions
             SELECT ARRAY (SELECT name FROM queues WHERE paused_at IS NOT NULL) AS paused,
                    ARRAY (SELECT id FROM jobs WHERE id = ANY ($1) AND state = 'cancelled') AS cancelled",
        )
        .bind(held)
        .fetch_one(&mut conn);
        let interventions = self.within_limit(question).await?;
        self.put_back(conn);
        Ok(interventions)
    }
}
