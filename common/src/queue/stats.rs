use std::time::Duration;

use sqlx::FromRow;

use super::DedicatedConnection;
use crate::db::{Result, SystemTx};

/// The jobs of one kind in one queue that are not over, or that wait for an operator.
#[derive(Debug, Clone, Default, PartialEq, FromRow)]
pub struct Stats {
    pub queue: String,
    pub kind: String,
    /// How many could run now.
    pub available: i64,
    /// How many wait for their time.
    pub scheduled: i64,
    /// How many wait for another attempt.
    pub retryable: i64,
    pub running: i64,
    /// How many wait for an operator.
    pub dead: i64,
    /// For how many seconds the one that has been waiting longest could have run, if one could.
    pub oldest_available: Option<f64>,
    /// How often the one that was tried most often was tried, of those that are not dead.
    pub attempts: i16,
}

impl Stats {
    /// There is no job of this kind.
    pub fn none(queue: &str, kind: &str) -> Self {
        Self { queue: queue.to_owned(), kind: kind.to_owned(), ..Self::default() }
    }

    /// Whether it is about the same kind in the same queue.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.queue, &self.kind) == (&other.queue, &other.kind)
    }
}

/// Counts the jobs, each state by its own index: finished ones, however many there are, cost nothing.
pub async fn stats(tx: &mut SystemTx) -> Result<Vec<Stats>> {
    Ok(sqlx::query_as(
        "-- queue::stats
         WITH live AS (
           SELECT queue, kind, state, attempts, run_at FROM jobs WHERE state = 'available'
           UNION ALL
           SELECT queue, kind, state, attempts, run_at FROM jobs WHERE state IN ('scheduled', 'retryable')
           UNION ALL
           SELECT queue, kind, state, attempts, run_at FROM jobs WHERE state = 'running'
           UNION ALL
           SELECT queue, kind, state, attempts, run_at FROM jobs WHERE state = 'dead')
         SELECT queue, kind,
                count(*) FILTER (WHERE state = 'available') AS available,
                count(*) FILTER (WHERE state = 'scheduled') AS scheduled,
                count(*) FILTER (WHERE state = 'retryable') AS retryable,
                count(*) FILTER (WHERE state = 'running') AS running,
                count(*) FILTER (WHERE state = 'dead') AS dead,
                extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'available'))::float8 AS oldest_available,
                coalesce(max(attempts) FILTER (WHERE state <> 'dead'), 0)::smallint AS attempts
         FROM live GROUP BY queue, kind ORDER BY queue, kind",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// What could run in a queue, and does not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many jobs, up to [`Waiting::MOST`].
    pub jobs: u32,
    /// How long the one that has been waiting longest has.
    pub longest: Duration,
}

impl Waiting {
    /// More are not counted.
    pub const MOST: u32 = 5_000;
}

impl DedicatedConnection {
    /// What waits in a queue.
    pub async fn waiting(&mut self, queue: &str) -> Result<Waiting> {
        let mut conn = self.take().await?;
        let question = sqlx::query_as(
            "-- queue::waiting
             SELECT count(*), coalesce(extract(epoch FROM now() - min(run_at)), 0)::float8
             FROM (SELECT run_at FROM jobs WHERE queue = $1 AND state = 'available' LIMIT $2) waiting",
        )
        .bind(queue)
        .bind(i64::from(Waiting::MOST))
        .fetch_one(&mut conn);
        let (jobs, longest): (i64, f64) = self.within_limit(question).await?;
        self.put_back(conn);
        Ok(Waiting {
            jobs: u32::try_from(jobs).unwrap_or(u32::MAX),
            longest: Duration::try_from_secs_f64(longest).unwrap_or_default(),
        })
    }
}
