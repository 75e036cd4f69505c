//! What operators do with jobs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::pause::announce_intervention;
use crate::{
    audit::{Operator, Subject, Verb, record},
    db::{Db, JobTx, Result, SystemTx},
    ids::DealershipId,
    input::JsonText,
    jobs::PROCESS_DELIVERY,
    seek::Seek,
};

/// Rows changed in one transaction, at most: claims have to step over what is locked.
const BATCH: u16 = 500;

/// A job as an operator sees it.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct JobRecord {
    /// `jobs.id`.
    pub id: i64,
    pub queue: String,
    pub kind: String,
    /// Whose work it is.
    pub dealership: Option<DealershipId>,
    /// What is to be done.
    pub payload: JsonText,
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
    pub finished_at: Option<DateTime<Utc>>,
    pub errors: JsonText,
    /// W3C `traceparent` of what caused it.
    pub trace_context: Option<String>,
}

impl JobRecord {
    /// Why the last attempt failed, if one did.
    pub fn last_error(&self) -> Option<String> {
        self.failed_attempts().pop()?["error"].as_str().map(str::to_owned)
    }

    /// What is written down of failed attempts, the last one last, as far as it can be read.
    pub fn failed_attempts(&self) -> Vec<Value> {
        let entries: Vec<&RawValue> = serde_json::from_str(self.errors.get()).unwrap_or_default();
        entries.into_iter().filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect()
    }

    /// The trace of what caused it. <https://www.w3.org/TR/trace-context/#trace-id>
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_context.as_deref()?.split('-').nth(1)
    }

    /// The delivery that it processes, if that is what it does.
    pub fn delivery_id(&self) -> Option<i64> {
        let read = || serde_json::from_str::<Value>(self.payload.get()).ok()?.get("delivery_id")?.as_i64();
        PROCESS_DELIVERY.contains(&self.kind.as_str()).then(read)?
    }
}

/// The states that a job can be in.
pub const STATES: [&str; 7] = ["available", "scheduled", "retryable", "running", "done", "dead", "cancelled"];

/// Which jobs are meant; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub id: Option<i64>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only of this dealership.
    pub dealership: Option<DealershipId>,
    /// Only what this trace has caused.
    pub trace_id: Option<String>,
    /// Only those that process this delivery.
    pub delivery_id: Option<i64>,
}

/// How many jobs of one kind are in one state.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct JobCount {
    pub kind: String,
    pub state: String,
    pub count: i64,
    /// When the oldest of them was, or is, to be run.
    pub oldest: DateTime<Utc>,
}

/// The jobs that are meant, newest first, up to `limit`.
pub async fn list(tx: &mut SystemTx, filter: &JobFilter, seek: Seek, limit: i64) -> Result<Vec<JobRecord>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "-- queue::list
         SELECT id, queue, kind, nullif(for_dealership, '00000000-0000-0000-0000-000000000000') AS dealership, payload,
                state::text AS state, attempts, max_attempts, run_at, created_at, finished_at, errors, trace_context
         FROM jobs WHERE true",
    );
    // Spelled out, for the planner to find the index of a state; and nothing else, or it would find none.
    if let Some(state) = &filter.state {
        let known = STATES.iter().find(|known| *known == state);
        query.push(known.map_or_else(|| " AND false".to_owned(), |known| format!(" AND state = '{known}'")));
    }
    narrow(&mut query, filter);
    seek.push_to(&mut query, limit);
    let mut jobs = query.build_query_as().fetch_all(tx.conn()).await?;
    seek.newest_first(&mut jobs);
    Ok(jobs)
}

/// Adds what a filter asks for, but for the state.
fn narrow(query: &mut QueryBuilder<Postgres>, filter: &JobFilter) {
    let JobFilter { id, state: _, kind, queue, dealership, trace_id, delivery_id } = filter;
    if let Some(id) = id {
        query.push(" AND id = ").push_bind(*id);
    }
    if let Some(kind) = kind {
        query.push(" AND kind = ").push_bind(kind.clone());
    }
    if let Some(queue) = queue {
        query.push(" AND queue = ").push_bind(queue.clone());
    }
    if let Some(dealership) = dealership {
        query.push(" AND for_dealership = ").push_bind(*dealership);
    }
    if let Some(trace_id) = trace_id {
        query.push(" AND substr(trace_context, 4, 32) = ").push_bind(trace_id.clone());
    }
    if let Some(delivery_id) = delivery_id {
        query.push(" AND kind = ANY (").push_bind(&PROCESS_DELIVERY[..]);
        query.push(") AND payload ->> 'delivery_id' = ").push_bind(delivery_id.to_string());
    }
}

/// The kinds of jobs in the table.
pub async fn kinds(tx: &mut SystemTx) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("-- queue::kinds\nSELECT DISTINCT kind FROM jobs ORDER BY kind").fetch_all(tx.conn()).await?)
}

/// The queues that have jobs, workers, or were ever paused.
pub async fn queues(tx: &mut SystemTx) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "-- queue::queues
         SELECT name FROM queues UNION SELECT unnest(queues) FROM workers UNION SELECT queue FROM jobs ORDER BY 1",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// How many jobs there are of each kind and state.
pub async fn count(tx: &mut SystemTx) -> Result<Vec<JobCount>> {
    Ok(sqlx::query_as(
        "-- queue::count
         SELECT kind, state::text AS state, count(*) AS count, min(run_at) AS oldest FROM jobs GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Makes dead jobs available again, with all their attempts, and returns which. What is not dead is left alone, so
/// twice has the effect of once. So is a unique job while another one is there to do the same.
pub async fn retry(tx: &mut SystemTx, filter: &JobFilter, by: &Operator) -> Result<Vec<i64>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "-- queue::retry
         WITH meant AS (SELECT id, queue, unique_key FROM jobs WHERE state = 'dead'",
    );
    narrow(&mut query, filter);
    query.push(
        ")
         UPDATE jobs SET state = 'available', attempts = 0, finished_at = NULL, run_at = now()
         WHERE state = 'dead' AND id IN (
           SELECT id FROM meant m
           WHERE NOT EXISTS (SELECT FROM meant newer WHERE (newer.queue, newer.unique_key) = (m.queue, m.unique_key) AND newer.id > m.id)
             AND NOT EXISTS (SELECT FROM jobs other WHERE (other.queue, other.unique_key) = (m.queue, m.unique_key)
                             AND other.state IN ('available', 'scheduled', 'retryable', 'running')))
         RETURNING id, queue",
    );
    let retried: Vec<(i64, String)> = query.build_query_as().fetch_all(tx.conn()).await?;
    for (_, queue) in &retried {
        tx.note_enqueued(queue);
    }
    let ids: Vec<i64> = retried.into_iter().map(|(id, _)| id).collect();
    if !ids.is_empty() {
        record(tx, by, Verb::Retry, Subject::Jobs(&ids)).await?;
    }
    Ok(ids)
}

/// Which jobs may be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// Only those that wait.
    Waiting,
    /// Also those that run: their workers abort them, and what they did in their transactions is rolled back.
    Running,
}

/// Cancels jobs, in short transactions of its own, and returns which. What is over is left alone. A job that runs is
/// cancelled at once in the table: it can no longer complete. Its worker learns of it within a second and aborts it.
pub async fn cancel(db: &Db, filter: &JobFilter, which: Cancel, by: &Operator) -> Result<Vec<i64>> {
    let states = match which {
        Cancel::Waiting => "'available', 'scheduled', 'retryable'",
        Cancel::Running => "'available', 'scheduled', 'retryable', 'running'",
    };
    let mut cancelled: Vec<i64> = Vec::new();
    loop {
        let mut tx = db.system().await?;
        let mut query = QueryBuilder::<Postgres>::new(
            "-- queue::cancel
             WITH next AS MATERIALIZED (SELECT id, state FROM jobs WHERE state IN (",
        );
        query.push(states).push(") AND id > ").push_bind(cancelled.iter().max().copied().unwrap_or(0));
        narrow(&mut query, filter);
        query.push(" ORDER BY id LIMIT ").push_bind(i64::from(BATCH)).push(
            " FOR UPDATE)
             UPDATE jobs j SET state = 'cancelled', finished_at = now(), lease_token = NULL, lease_until = NULL
             FROM next WHERE j.id = next.id RETURNING j.id, next.state = 'running'",
        );
        let batch: Vec<(i64, bool)> = query.build_query_as().fetch_all(tx.conn()).await?;
        let ids: Vec<i64> = batch.iter().map(|(id, _)| *id).collect();
        record(&mut tx, by, Verb::Cancel, Subject::Jobs(&ids)).await?;
        if batch.iter().any(|(_, ran)| *ran) {
            announce_intervention(&mut tx).await?;
        }
        tx.commit().await?;
        cancelled.extend(ids);
        if batch.len() < usize::from(BATCH) {
            return Ok(cancelled);
        }
    }
}
