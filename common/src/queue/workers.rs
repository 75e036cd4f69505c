//! Which workers there are.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::DedicatedConnection;
use crate::db::{Result, SystemTx};

/// A worker process, as it introduces itself.
#[derive(Debug, Clone)]
pub struct WorkerProcess {
    /// New with each start.
    pub id: Uuid,
    /// The name of its host.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The queues that it serves.
    pub queues: Vec<String>,
    /// Jobs that it may run at once.
    pub slots: usize,
}

/// A worker process that is there, or was a moment ago.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct WorkerRecord {
    /// The name of its host.
    pub host: String,
    /// Its process id there.
    pub pid: i32,
    /// The release that it runs.
    pub version: String,
    /// The queues that it serves.
    pub queues: Vec<String>,
    /// Jobs that it may run at once.
    pub slots: i32,
    /// Jobs that it ran when it was last seen.
    pub running: i32,
    pub started_at: DateTime<Utc>,
    /// When it was last seen.
    pub seen_at: DateTime<Utc>,
    /// Whether that is too long ago for a worker that lives and reaches the database.
    pub missing: bool,
}

/// The workers that have been seen within the last hour and did not say goodbye.
pub async fn workers(tx: &mut SystemTx) -> Result<Vec<WorkerRecord>> {
    Ok(sqlx::query_as(
        "-- queue::workers
         SELECT host, pid, version, queues, slots, running, started_at, seen_at, seen_at < now() - interval '30 s' AS missing
         FROM workers WHERE seen_at > now() - interval '1 h' ORDER BY missing, host, started_at",
    )
    .fetch_all(tx.conn())
    .await?)
}

impl DedicatedConnection {
    /// Says that a worker is there, and returns how many others and this one serve each of its queues. Whoever has not been
    /// seen for 15 s does not count. Forgets those that have not been for a day.
    pub async fn report_alive(&mut self, worker: &WorkerProcess, running: usize) -> Result<HashMap<String, u32>> {
        let mut conn = self.take().await?;
        // The last part sees the table as it was before: this worker is added to the others.
        let report = sqlx::query_as(
            "-- queue::report_alive
             WITH gone AS (DELETE FROM workers WHERE seen_at < now() - interval '1 day' AND id <> $1),
             reported AS (
               INSERT INTO workers (id, host, pid, version, queues, slots, running) VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (id) DO UPDATE SET seen_at = now(), running = excluded.running)
             SELECT queue, 1 + count(id) FROM unnest($5::text[]) AS queue
             LEFT JOIN workers ON queue = ANY (queues) AND id <> $1 AND seen_at > now() - interval '15 s'
             GROUP BY queue",
        )
        .bind(worker.id)
        .bind(&worker.host)
        .bind(i32::try_from(worker.pid).unwrap_or(i32::MAX))
        .bind(crate::VERSION)
        .bind(&worker.queues)
        .bind(i32::try_from(worker.slots).unwrap_or(i32::MAX))
        .bind(i32::try_from(running).unwrap_or(i32::MAX))
        .fetch_all(&mut conn);
        let workers: Vec<(String, i64)> = self.within_limit(report).await?;
        self.put_back(conn);
        Ok(workers.into_iter().map(|(queue, count)| (queue, u32::try_from(count).unwrap_or(u32::MAX))).collect())
    }

    /// Says that a worker is no longer there.
    pub async fn report_stopped(&mut self, worker: &WorkerProcess) -> Result<()> {
        let mut conn = self.take().await?;
        let report = sqlx::query("-- queue::report_stopped\nDELETE FROM workers WHERE id = $1").bind(worker.id);
        self.within_limit(report.execute(&mut conn)).await?;
        self.put_back(conn);
        Ok(())
    }
}
