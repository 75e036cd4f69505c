//! The inbox as an operator sees it: what came, and what became of it. Payloads of jobs are compared as text, so that
//! one with anything else in it is shown as it is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, Postgres, QueryBuilder};

use crate::{
    db::{Error, Result, SystemTx},
    jobs::ProcessClerkEvent,
    queue::{NewJob, Seek, enqueue},
};

/// A stored delivery.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct StoredEvent {
    /// `clerk_events.id`.
    pub id: i64,
    /// The same for every attempt and manual resend.
    pub svix_id: String,
    /// Clerk's name for it.
    pub event_type: String,
    /// Whom it is about, if it is about a person.
    pub user_id: Option<String>,
    /// One of [`EVENT_STATUSES`].
    pub status: String,
    /// `applied`, `stale` (known already, or known better), `tombstoned` (about something that is gone for good), or what
    /// is wrong with it. For a pending one whose job is dead, what is wrong with that.
    pub outcome: Option<String>,
    /// What it has changed of dealerships and users, whenever it was processed.
    pub effects: Vec<String>,
    /// How often it came again after that.
    pub repetitions: i64,
    /// When it last did.
    pub last_repeated_at: Option<DateTime<Utc>>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When it was processed.
    pub processed_at: Option<DateTime<Utc>>,
    /// As it was signed; nothing once the person has been deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The statuses that an event can have.
pub const EVENT_STATUSES: [&str; 5] = ["pending", "processed", "ignored", "dead", "quarantined"];

/// Which events are meant; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Just this one.
    pub id: Option<i64>,
    /// Only with this status.
    pub status: Option<String>,
    /// Only about this person, or naming this organization or membership.
    pub about: Option<String>,
    /// Which part of a long list.
    pub seek: Seek,
}

/// The events that are meant, newest first, up to `limit`.
pub async fn events(tx: &mut SystemTx, filter: &EventFilter, limit: i64) -> Result<Vec<StoredEvent>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "-- clerk::admin::events
         SELECT id, svix_id, event_type, user_id, status, effects, repeated.repetitions, repeated.last_repeated_at, received_at,
                processed_at, body, coalesce(outcome, (
                  SELECT 'job ' || j.id || ' is dead: ' || coalesce(j.errors -> -1 ->> 'error', '') FROM jobs j
                  WHERE j.state = 'dead' AND e.status = 'pending' AND j.kind = 'clerk.process_event'
                    AND j.payload ->> 'event_id' = e.id::text LIMIT 1)) AS outcome
         FROM clerk_events e CROSS JOIN LATERAL (
           SELECT count(*) AS repetitions, max(r.received_at) AS last_repeated_at
           FROM clerk_event_repetitions r WHERE r.event_id = e.id) repeated
         WHERE true",
    );
    if let Some(id) = filter.id {
        query.push(" AND id = ").push_bind(id);
    }
    // Spelled out, for the planner to find the index of a status.
    if let Some(status) = &filter.status {
        let known = EVENT_STATUSES.iter().find(|known| *known == status);
        query.push(known.map_or_else(|| " AND false".to_owned(), |known| format!(" AND status = '{known}'")));
    }
    if let Some(about) = &filter.about {
        query.push(" AND (user_id = ").push_bind(about.clone());
        query.push(" OR strpos(body, '\"' || ").push_bind(about.clone()).push(" || '\"') > 0)");
    }
    filter.seek.push_to(&mut query, limit);
    let mut events = query.build_query_as().fetch_all(tx.conn()).await.map_err(Error::from)?;
    filter.seek.newest_first(&mut events);
    Ok(events)
}

/// Has events processed again, and returns which: those that were processed, or that have the status which is asked for.
/// Those that were erased, or never kept, stay as they are, as do those that a job is still to process.
pub async fn replay(tx: &mut SystemTx, filter: &EventFilter) -> Result<Vec<i64>> {
    let replayed: Vec<i64> = sqlx::query_scalar(
        "-- clerk::admin::replay
         UPDATE clerk_events e SET status = 'pending', outcome = NULL, processed_at = NULL
         WHERE body IS NOT NULL
           AND (status <> 'pending' OR NOT EXISTS (
             SELECT FROM jobs j WHERE j.kind = 'clerk.process_event' AND j.payload ->> 'event_id' = e.id::text
               AND j.state IN ('available', 'scheduled', 'retryable', 'running')))
           AND ($1::bigint IS NULL OR id = $1)
           AND CASE WHEN $3::text IS NULL THEN status = 'processed' OR $1::bigint IS NOT NULL ELSE status = $3 END
           AND ($2::text IS NULL OR user_id = $2 OR strpos(body, '\"' || $2 || '\"') > 0)
         RETURNING id",
    )
    .bind(filter.id)
    .bind(&filter.about)
    .bind(&filter.status)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    for &event_id in &replayed {
        enqueue(tx, &NewJob::now(&ProcessClerkEvent { event_id })).await?;
    }
    Ok(replayed)
}

/// How many events do not go on by themselves.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Stuck {
    /// Malformed: no retry can succeed.
    pub dead: i64,
    /// Of another Clerk instance.
    pub quarantined: i64,
    /// Not processed, and without a job that would: somebody cancelled or deleted it.
    pub abandoned: i64,
}

/// Counts the events that wait for an operator, but for those whose jobs are dead.
pub async fn stuck(tx: &mut SystemTx) -> Result<Stuck> {
    sqlx::query_as(
        "-- clerk::admin::stuck
         SELECT count(*) FILTER (WHERE status = 'dead') AS dead, count(*) FILTER (WHERE status = 'quarantined') AS quarantined,
                count(*) FILTER (WHERE status = 'pending') AS abandoned
         FROM clerk_events e
         WHERE status IN ('dead', 'quarantined') OR (status = 'pending' AND NOT EXISTS (
           SELECT FROM jobs j WHERE j.kind = 'clerk.process_event' AND j.payload ->> 'event_id' = e.id::text
             AND j.state IN ('available', 'scheduled', 'retryable', 'running', 'dead')))",
    )
    .fetch_one(tx.conn())
    .await
    .map_err(Error::from)
}
