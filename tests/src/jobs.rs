//! Looking at the `jobs` table, and reaching into it the way only a fault or an operator would.

use std::time::Duration;

use chrono::{DateTime, Utc};
use common::queue::Lease;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

/// A connection to a test's database, as the superuser.
#[derive(Debug)]
pub struct JobTable(PgConnection);

/// A job as it stands in the table.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JobRow {
    /// `available`, `running`, `done` …
    pub state: String,
    /// How many attempts count.
    pub attempts: i16,
    /// Not to be run before.
    pub run_at: DateTime<Utc>,
    /// One entry for each attempt that failed.
    pub errors: Value,
}

impl JobTable {
    /// Connects to the database with this URL.
    pub async fn at(url: &str) -> Self {
        Self(PgConnection::connect(url).await.expect("the test's database is there"))
    }

    pub async fn row(&mut self, id: i64) -> JobRow {
        sqlx::query_as("SELECT state::text, attempts, run_at, errors FROM jobs WHERE id = $1")
            .bind(id)
            .fetch_one(&mut self.0)
            .await
            .expect("the job is there")
    }

    /// The state of one job.
    pub async fn state(&mut self, id: i64) -> String {
        self.row(id).await.state
    }

    /// How many jobs of a kind are in a state.
    pub async fn count(&mut self, kind: &str, state: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM jobs WHERE kind = $1 AND state::text = $2")
            .bind(kind)
            .bind(state)
            .fetch_one(&mut self.0)
            .await
            .expect("jobs can be counted")
    }

    /// How many jobs of a queue are to be run at once, or are running.
    pub async fn waiting(&mut self, queue: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM jobs WHERE queue = $1
               AND (state IN ('available', 'running') OR (state IN ('retryable', 'scheduled') AND run_at < now() + '10 s'))",
        )
        .bind(queue)
        .fetch_one(&mut self.0)
        .await
        .expect("jobs can be counted")
    }

    /// Runs a statement that changes jobs; `$1` in it is `id`. Returns how many it changed.
    pub async fn change(&mut self, statement: &'static str, id: i64) -> u64 {
        sqlx::query(statement).bind(id).execute(&mut self.0).await.expect("the statement is right").rows_affected()
    }

    /// Writes down a job that nobody announces, with whatever payload.
    pub async fn insert(&mut self, kind: &str, version: i16, payload: &str) -> i64 {
        sqlx::query_scalar(
            "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
             VALUES ('default', $1, $2::text::jsonb, $3, 'available', 3) RETURNING id",
        )
        .bind(kind)
        .bind(payload)
        .bind(version)
        .fetch_one(&mut self.0)
        .await
        .expect("a job can be written down")
    }

    /// Lets a lease run out.
    pub async fn expire(&mut self, lease: &Lease) {
        self.change("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1", lease.job_id()).await;
    }

    /// Waits until a job is taken back whose lease has run out, and lets its time come.
    pub async fn retry_once_reaped(&mut self, id: i64) {
        self.wait_until("SELECT state <> 'running' OR lease_until > now() FROM jobs WHERE id = $1", id).await;
        self.change("UPDATE jobs SET run_at = now() WHERE id = $1 AND state = 'retryable'", id).await;
    }

    /// The payloads of all jobs of a kind.
    pub async fn payloads(&mut self, kind: &str) -> Vec<Value> {
        sqlx::query_scalar("SELECT payload FROM jobs WHERE kind = $1 ORDER BY id")
            .bind(kind)
            .fetch_all(&mut self.0)
            .await
            .expect("jobs can be read")
    }

    /// Waits until a job is in a state.
    pub async fn wait_for(&mut self, id: i64, state: &str) {
        let deadline = Instant::now() + JOB_TIMEOUT;
        loop {
            let row = self.row(id).await;
            if row.state == state {
                return;
            }
            assert!(Instant::now() < deadline, "job {id} is not {state} but {row:?}");
            sleep(INTERVAL).await;
        }
    }

    /// Waits until so many jobs of a kind are in a state, or more.
    pub async fn wait_for_count(&mut self, kind: &str, state: &str, wanted: i64) {
        let deadline = Instant::now() + JOB_TIMEOUT;
        loop {
            let count = self.count(kind, state).await;
            if count >= wanted {
                return;
            }
            if Instant::now() > deadline {
                let rest = self.unlike(kind, state).await;
                panic!("{count} instead of {wanted} jobs {kind} are {state}; among the others {rest:?}");
            }
            sleep(INTERVAL).await;
        }
    }

    /// Some jobs of a kind that are not in a state.
    async fn unlike(&mut self, kind: &str, state: &str) -> Vec<JobRow> {
        sqlx::query_as(
            "SELECT state::text, attempts, run_at, errors FROM jobs WHERE kind = $1 AND state::text <> $2 LIMIT 3",
        )
        .bind(kind)
        .bind(state)
        .fetch_all(&mut self.0)
        .await
        .expect("jobs can be read")
    }

    /// Waits until a question is answered with true; `$1` in it is `id`.
    pub async fn wait_until(&mut self, question: &'static str, id: i64) {
        let deadline = Instant::now() + JOB_TIMEOUT;
        loop {
            let yes: bool =
                sqlx::query_scalar(question).bind(id).fetch_one(&mut self.0).await.expect("the question is right");
            if yes {
                return;
            }
            assert!(Instant::now() < deadline, "still not true: {question}");
            sleep(INTERVAL).await;
        }
    }
}

/// Far longer than anything should take, on a busy machine too.
const JOB_TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(10);
