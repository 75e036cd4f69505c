use chrono::{DateTime, Utc};

use crate::{
    db::{JobTx, Result},
    ids::DealershipId,
    jobs::Job,
    telemetry::Trace,
};

/// A job to be written down, and how.
#[derive(Debug, Clone)]
pub struct NewJob<'a, J> {
    pub job: &'a J,
    /// Whose work it is: dealerships are served in turn, so that many jobs of one do not keep another's waiting. All jobs
    /// of none share one turn.
    pub dealership: Option<DealershipId>,
    /// Smaller is sooner, among the jobs of one dealership; 0 by default.
    pub priority: i16,
    /// Not before this time; at once by default.
    pub run_at: Option<DateTime<Utc>>,
    /// At most one unfinished job of the queue has this key.
    pub unique_key: Option<&'a str>,
}

impl<'a, J: Job> NewJob<'a, J> {
    /// A job to be run at once.
    pub fn now(job: &'a J) -> Self {
        Self { job, dealership: None, priority: 0, run_at: None, unique_key: None }
    }
}

/// What became of an [`enqueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// Written down under this id.
    As(i64),
    /// An unfinished job has the same unique key; nothing was written.
    Duplicate,
}

/// Writes a job down in the caller's transaction: it exists exactly if that transaction commits. Through the tenant door
/// it is that dealership's job, whatever `new` says. What it does is traced to what is done now, such as a request.
pub async fn enqueue<J: Job>(tx: &mut impl JobTx, new: &NewJob<'_, J>) -> Result<Enqueued> {
    let payload = serde_json::to_value(new.job).expect("a payload is plain data with string keys");
    let id: Option<i64> = sqlx::query_scalar(
        "-- queue::enqueue
         INSERT INTO jobs (queue, kind, payload, payload_version, state, priority, run_at, max_attempts, unique_key, trace_context,
                           for_dealership, buried_by_worker)
         VALUES ($1, $2, $3, $4, CASE WHEN $6 > now() THEN 'scheduled' ELSE 'available' END::job_state, $5,
                 coalesce($6, now()), $7, $8, $9, coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid), $11)
         ON CONFLICT (queue, unique_key)
           WHERE unique_key IS NOT NULL AND state IN ('available', 'scheduled', 'retryable', 'running')
           DO NOTHING
         RETURNING id",
    )
    .bind(J::QUEUE)
    .bind(J::KIND)
    .bind(payload)
    .bind(J::VERSION)
    .bind(new.priority)
    .bind(new.run_at)
    .bind(J::MAX_ATTEMPTS)
    .bind(new.unique_key)
    .bind(Trace::current().map(|trace| trace.traceparent()))
    .bind(tx.owner().or(new.dealership))
    .bind(J::BURIED_BY_WORKER)
    .fetch_optional(tx.elevate().await?.conn())
    .await?;
    tx.lower().await?;
    Ok(match id {
        Some(id) => {
            tx.note_enqueued(J::QUEUE);
            Enqueued::As(id)
        }
        None => Enqueued::Duplicate,
    })
}
