//! Deliveries as an operator sees them: what came, and what became of it. Payloads of jobs are compared as text, so that
//! one with anything else in it is shown as it is.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::{Source, Status};
use crate::{
    db::{Result, SystemTx},
    ids::DealershipId,
    jobs::{PROCESS_DELIVERY, ProcessClerkEvent, ReadFacebookLead, ReadInquiry, ReadReport, ReadSms},
    queue::{NewJob, Seek, enqueue},
};

#[derive(Debug, Clone, Serialize, FromRow)]
pub struct StoredDelivery {
    /// `deliveries.id`.
    pub id: i64,
    pub source: Source,
    /// What the source calls it: the same for every attempt and every manual resend.
    pub external_id: String,
    /// What the source calls its kind.
    pub event_type: String,
    /// Whose it is, as far as was known when it came.
    pub dealership_id: Option<DealershipId>,
    /// Whom it is about, as the source names them, if it is about a person.
    pub subject: Option<String>,
    /// What has become of it.
    pub status: Status,
    /// What it came to, or why to nothing. For a pending one whose job is dead, what is wrong with that.
    pub outcome: Option<String>,
    /// What it has changed, whenever it was processed.
    pub effects: Vec<String>,
    /// How often it came again after that.
    pub repetitions: i64,
    /// When it last did.
    pub last_repeated_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    /// When it was processed.
    pub processed_at: Option<DateTime<Utc>>,
    /// As it was signed; nothing once it was erased.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub body: Option<Vec<u8>>,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn as_text<S: Serializer>(body: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body.as_deref().unwrap_or_default()))
}

/// Which deliveries are meant; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub id: Option<i64>,
    pub source: Option<Source>,
    /// Only with this status.
    pub status: Option<Status>,
    /// Only about this person, or naming it in quotes.
    pub about: Option<String>,
    /// Which part of a long list.
    pub seek: Seek,
}

/// The deliveries that are meant, newest first, up to `limit`.
pub async fn list(tx: &mut SystemTx, filter: &DeliveryFilter, limit: i64) -> Result<Vec<StoredDelivery>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "-- deliveries::list
         SELECT id, source, external_id, event_type, dealership_id, subject, status, effects, repeated.repetitions,
                repeated.last_repeated_at, received_at, processed_at, body, coalesce(outcome, (
                  SELECT 'job ' || j.id || ' is dead: ' || coalesce(j.errors -> -1 ->> 'error', '') FROM jobs j
                  WHERE j.state = 'dead' AND d.status = 'pending' AND j.kind = ANY (",
    );
    query.push_bind(&PROCESS_DELIVERY[..]).push(
        ") AND j.payload ->> 'delivery_id' = d.id::text LIMIT 1)) AS outcome
         FROM deliveries d CROSS JOIN LATERAL (
           SELECT count(*) AS repetitions, max(r.received_at) AS last_repeated_at
           FROM delivery_repetitions r WHERE r.delivery_id = d.id) repeated
         WHERE true",
    );
    if let Some(id) = filter.id {
        query.push(" AND id = ").push_bind(id);
    }
    if let Some(source) = filter.source {
        query.push(" AND source = ").push_bind(source);
    }
    // Spelled out, for the planner to find the index of a status.
    if let Some(status) = filter.status {
        query.push(format_args!(" AND status = '{}'", status.as_str()));
    }
    if let Some(about) = &filter.about {
        query.push(" AND (subject = ").push_bind(about.clone());
        query.push(" OR position(convert_to('\"' || ").push_bind(about.clone()).push(" || '\"', 'UTF8') IN body) > 0)");
    }
    filter.seek.push_to(&mut query, limit);
    let mut found = query.build_query_as().fetch_all(tx.conn()).await?;
    filter.seek.newest_first(&mut found);
    Ok(found)
}

/// Has deliveries processed again, and returns which: those that were processed, or that have the status which is asked
/// for. Those that were erased, or never kept, stay as they are, as do those that a job is still to process.
pub async fn replay(tx: &mut SystemTx, filter: &DeliveryFilter) -> Result<Vec<i64>> {
    let replayed: Vec<(i64, Source, Option<DealershipId>)> = sqlx::query_as(
        "-- deliveries::replay
         UPDATE deliveries d SET status = 'pending', outcome = NULL, processed_at = NULL
         WHERE body IS NOT NULL
           AND (status <> 'pending' OR NOT EXISTS (
             SELECT FROM jobs j WHERE j.kind = ANY ($5) AND j.payload ->> 'delivery_id' = d.id::text
               AND j.state IN ('available', 'scheduled', 'retryable', 'running')))
           AND (source = 'clerk' OR dealership_id IS NOT NULL)
           AND ($1::bigint IS NULL OR id = $1)
           AND ($4::text IS NULL OR source = $4)
           AND CASE WHEN $3::text IS NULL THEN status = 'processed' OR $1::bigint IS NOT NULL ELSE status = $3 END
           AND ($2::text IS NULL OR subject = $2 OR position(convert_to('\"' || $2 || '\"', 'UTF8') IN body) > 0)
         RETURNING id, source, dealership_id",
    )
    .bind(filter.id)
    .bind(&filter.about)
    .bind(filter.status)
    .bind(filter.source)
    .bind(&PROCESS_DELIVERY[..])
    .fetch_all(tx.conn())
    .await?;
    for &(delivery_id, source, dealership) in &replayed {
        match source {
            Source::Clerk => {
                let job = ProcessClerkEvent { delivery_id };
                enqueue(tx, &NewJob { dealership, ..NewJob::now(&job) }).await?
            }
            Source::Facebook => {
                let job = ReadFacebookLead { delivery_id };
                enqueue(tx, &NewJob { dealership, ..NewJob::now(&job) }).await?
            }
            Source::Report => enqueue(tx, &NewJob { dealership, ..NewJob::now(&ReadReport { delivery_id }) }).await?,
            Source::Sms => enqueue(tx, &NewJob { dealership, ..NewJob::now(&ReadSms { delivery_id }) }).await?,
            Source::Form | Source::Email | Source::Adf => {
                enqueue(tx, &NewJob { dealership, ..NewJob::now(&ReadInquiry { delivery_id }) }).await?
            }
        };
    }
    Ok(replayed.into_iter().map(|(id, ..)| id).collect())
}

/// How many deliveries do not go on by themselves.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Stuck {
    /// They cannot be read: no retry can succeed.
    pub dead: i64,
    /// Of another instance or account than ours.
    pub quarantined: i64,
    /// A person decides.
    pub parked: i64,
    /// Of those, the ones that are no dealership's to decide on.
    pub unowned: i64,
    /// Not processed, and without a job that would: somebody cancelled or deleted it.
    pub abandoned: i64,
}

/// Counts the deliveries that wait for an operator, but for those whose jobs are dead.
pub async fn stuck(tx: &mut SystemTx) -> Result<Stuck> {
    Ok(sqlx::query_as(
        "-- deliveries::stuck
         SELECT count(*) FILTER (WHERE status = 'dead') AS dead, count(*) FILTER (WHERE status = 'quarantined') AS quarantined,
                count(*) FILTER (WHERE status = 'parked') AS parked,
                count(*) FILTER (WHERE status = 'parked' AND dealership_id IS NULL) AS unowned, count(*) FILTER (WHERE status = 'pending') AS abandoned
         FROM deliveries d
         WHERE status IN ('dead', 'quarantined', 'parked') OR (status = 'pending' AND NOT EXISTS (
           SELECT FROM jobs j WHERE j.kind = ANY ($1) AND j.payload ->> 'delivery_id' = d.id::text
             AND j.state IN ('available', 'scheduled', 'retryable', 'running', 'dead')))",
    )
    .bind(&PROCESS_DELIVERY[..])
    .fetch_one(tx.conn())
    .await?)
}
