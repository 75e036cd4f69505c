use std::time::Duration;

use serde_json::Value;

use super::{DedicatedConnection, Job};
use crate::db::Result;

/// A job that is enqueued by itself, once for each interval in the whole cluster. Intervals begin at multiples of their
/// length since 2000-01-01 UTC.
#[derive(Debug, Clone)]
pub struct Periodic {
    kind: &'static str,
    queue: &'static str,
    payload: Value,
    version: i16,
    max_attempts: i16,
    interval: Duration,
}

impl Periodic {
    /// `job`, once for each interval.
    pub fn new<J: Job>(job: &J, interval: Duration) -> Self {
        Self {
            kind: J::KIND,
            queue: J::QUEUE,
            payload: serde_json::to_value(job).expect("a payload is plain data with string keys"),
            version: J::VERSION,
            max_attempts: J::MAX_ATTEMPTS,
            interval,
        }
    }
}

impl DedicatedConnection {
    /// Enqueues each of these jobs whose interval has begun and for which no other worker has done so, and returns how
    /// many. Intervals that passed meanwhile are not made up for, and one is skipped while the job of an earlier one is
    /// unfinished.
    ///
    /// Only the database's clock counts. A transaction that comes late finds the row at its own interval or a later one.
    pub async fn enqueue_due(&mut self, periodic: &[Periodic]) -> Result<u64> {
        let mut conn = self.take().await?;
        // Ahead of what waits already: there is only one of each, and it must not wait behind a million others.
        let enqueue = sqlx::query(
            "-- queue::enqueue_due
             WITH periodic AS (
               SELECT *, date_bin(length, now(), '2000-01-01 00:00:00+00') AS interval_start
               FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::smallint[], $5::smallint[], $6::interval[])
                 AS p (kind, queue, payload, payload_version, max_attempts, length)),
             due AS (
               INSERT INTO periodic_jobs AS last (kind, interval_start)
               SELECT kind, interval_start FROM periodic p
               WHERE NOT EXISTS (SELECT FROM periodic_jobs l WHERE l.kind = p.kind AND l.interval_start >= p.interval_start)
               ORDER BY kind
               ON CONFLICT (kind) DO UPDATE SET interval_start = excluded.interval_start
                 WHERE last.interval_start < excluded.interval_start
               RETURNING kind)
             INSERT INTO jobs (queue, kind, payload, payload_version, state, priority, max_attempts, unique_key)
             SELECT queue, kind, payload, payload_version, 'available', -1, max_attempts, kind FROM periodic JOIN due USING (kind)
             ON CONFLICT (queue, unique_key)
               WHERE unique_key IS NOT NULL AND state IN ('available', 'scheduled', 'retryable', 'running')
               DO NOTHING",
        )
        .bind(column(periodic, |p| p.kind))
        .bind(column(periodic, |p| p.queue))
        .bind(column(periodic, |p| p.payload.clone()))
        .bind(column(periodic, |p| p.version))
        .bind(column(periodic, |p| p.max_attempts))
        .bind(column(periodic, |p| p.interval))
        .execute(&mut conn);
        let enqueued = self.within_limit(enqueue).await?.rows_affected();
        self.put_back(conn);
        Ok(enqueued)
    }
}

fn column<T>(periodic: &[Periodic], value: impl Fn(&Periodic) -> T) -> Vec<T> {
    periodic.iter().map(value).collect()
}
