use std::time::Duration;

use crate::db::{Db, Error, Result};

/// The state of the queue, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Jobs that wait: now, for their time, or for another attempt.
    pub waiting: i64,
    /// Jobs that run.
    pub running: i64,
    /// Jobs that wait for an operator.
    pub dead: i64,
    /// How long the oldest job has been waiting that could run now.
    pub oldest_available: Duration,
}

/// Counts the jobs.
pub async fn stats(db: &Db) -> Result<Stats> {
    let mut tx = db.system().await?;
    let (waiting, running, dead, oldest): (i64, i64, i64, Option<f64>) = sqlx::query_as(
        "-- queue::stats
         SELECT count(*) FILTER (WHERE state IN ('available', 'scheduled', 'retryable')),
                count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'dead'),
                extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'available'))::float8
         FROM jobs WHERE state NOT IN ('done', 'cancelled')",
    )
    .fetch_one(tx.conn())
    .await
    .map_err(Error::from)?;
    let oldest_available = Duration::try_from_secs_f64(oldest.unwrap_or_default()).unwrap_or_default();
    Ok(Stats { waiting, running, dead, oldest_available })
}
