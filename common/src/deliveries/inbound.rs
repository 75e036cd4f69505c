//! A dealership's own deliveries: read and settled through the tenant door, and shown to its people.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, types::Json};
use utoipa::{IntoParams, ToSchema};

use super::{Opinion, Source, Status, process::ProcessError};
use crate::{
    db::{Error, JobTx, Result, TenantTx},
    ids::SourceId,
    input::{Fields, FromFields, integer_text},
};

/// Something that came in, as a dealership sees it: what came and what became of it.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Inbound {
    /// Identifies what came in.
    pub id: i64,
    /// Who sent it.
    pub source: Source,
    /// Which of the dealership's sources it came from; null once that was removed.
    pub source_id: Option<SourceId>,
    /// What has become of it.
    pub status: Status,
    /// What it came to, or why to nothing.
    #[schema(example = "became lead 018f3a2c-9f6e-7c31-8a44-2f1c7f0f9a11")]
    pub outcome: Option<String>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When that was decided.
    pub processed_at: Option<DateTime<Utc>>,
    /// What the assistant was asked of it and said, if it was asked; null in lists.
    #[schema(value_type = Option<Opinion>)]
    pub opinion: Option<Json<Opinion>>,
}

/// Which of what came in, newest first.
#[derive(Debug, Clone, Copy, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InboundFilter {
    /// Only with this status.
    #[param(schema_with = Status::or_blank)]
    pub status: Option<Status>,
    /// Only from there.
    #[param(schema_with = Source::or_blank)]
    pub source: Option<Source>,
    /// Only what is older than the one with this id.
    #[param(minimum = 1)]
    pub before: Option<i64>,
}

impl FromFields for InboundFilter {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            status: fields.optional("status", Status::parse),
            source: fields.optional("source", Source::parse),
            before: fields.optional("before", integer_text(1..=i64::MAX)),
        })
    }
}

/// How many are shown at once.
const LIST: i64 = 100;

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, source, source_id, status, outcome, received_at, processed_at"
    };
}

/// What came in for the dealership, newest first, and whether there is more. The newest of each source and status are looked up
/// in an index: of whatever is rare among many, nothing else is read.
pub async fn list_own(tx: &mut TenantTx, filter: &InboundFilter) -> Result<(Vec<Inbound>, bool)> {
    let sources = filter.source.map_or_else(|| Source::ALL.to_vec(), |source| vec![source]);
    let statuses = filter.status.map_or_else(|| Status::ALL.to_vec(), |status| vec![status]);
    let mut items: Vec<Inbound> = sqlx::query_as(concat!(
        "-- deliveries::list_own
         SELECT ",
        columns!(),
        ", NULL::jsonb AS opinion
         FROM deliveries WHERE dealership_id = $1 AND source <> 'clerk' AND id = ANY (ARRAY (
           SELECT newest.id
           FROM unnest($2::text[]) AS s (source) CROSS JOIN unnest($3::text[]) AS t (status) CROSS JOIN LATERAL (
             SELECT d.id FROM deliveries d
             WHERE d.dealership_id = $1 AND d.source = s.source AND d.status = t.status AND d.source <> 'clerk' AND d.id < $4
             ORDER BY d.id DESC LIMIT $5) newest
           ORDER BY newest.id DESC LIMIT $5))
         ORDER BY id DESC"
    ))
    .bind(tx.dealership())
    .bind(sources.into_iter().map(Source::as_str).collect::<Vec<_>>())
    .bind(statuses.into_iter().map(Status::as_str).collect::<Vec<_>>())
    .bind(filter.before.unwrap_or(i64::MAX))
    .bind(LIST + 1)
    .fetch_all(tx.conn())
    .await?;
    let more = i64::try_from(items.len()).is_ok_and(|count| count > LIST);
    items.truncate(LIST.try_into().unwrap_or(usize::MAX));
    Ok((items, more))
}

pub async fn find_own(tx: &mut TenantTx, id: i64) -> Result<Option<Inbound>> {
    let find = sqlx::query_as(concat!(
        "-- deliveries::find_own\nSELECT ",
        columns!(),
        ", opinion FROM deliveries WHERE id = $1 AND dealership_id = $2 AND source <> 'clerk'"
    ));
    Ok(find.bind(id).bind(tx.dealership()).fetch_optional(tx.conn()).await?)
}

/// A dealership's delivery that nobody else processes before the transaction ends.
#[derive(Debug, FromRow)]
pub struct Own {
    pub id: i64,
    pub source: Source,
    pub external_id: String,
    /// None where it came for nobody's source.
    pub source_id: Option<SourceId>,
    /// What of the request's head matters for reading the body.
    pub headers: Value,
    /// As it was signed; nothing once it was erased.
    pub body: Option<Vec<u8>>,
    pub status: Status,
    pub received_at: DateTime<Utc>,
    /// What the assistant said of it.
    pub opinion: Option<Json<Opinion>>,
}

/// Locks one of the dealership's deliveries for processing.
pub async fn take_own(tx: &mut TenantTx, id: i64) -> Result<Own, ProcessError> {
    let taken: Option<Own> = sqlx::query_as(
        "-- deliveries::take_own
         SELECT id, source, external_id, source_id, headers, body, status, received_at, opinion
         FROM deliveries WHERE id = $1 AND dealership_id = $2 AND source <> 'clerk' FOR NO KEY UPDATE",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    taken.ok_or(ProcessError::Missing)
}

/// Notes what one of the dealership's deliveries came to, in the transaction of its effects.
pub async fn settle_own(tx: &mut TenantTx, id: i64, status: Status, outcome: &str, effects: &[String]) -> Result<()> {
    sqlx::query(
        "-- deliveries::settle_own
         UPDATE deliveries SET status = $3, outcome = $4, effects = effects || $5, processed_at = now()
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(status)
    .bind(outcome)
    .bind(effects)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes up again what waited for a page of Facebook to be connected, or to be repaired, and returns which that is.
pub async fn resume_of_page(tx: &mut TenantTx, source: SourceId, page: &str) -> Result<Vec<i64>> {
    let resumed = sqlx::query_scalar(
        "-- deliveries::resume_of_page
         UPDATE deliveries SET dealership_id = $1, source_id = $2, status = 'pending', outcome = NULL, processed_at = NULL
         WHERE source = 'facebook' AND status = 'parked' AND body IS NOT NULL
           AND (source_id = $2 OR (dealership_id IS NULL AND headers ->> 'page_id' = $3))
         RETURNING id",
    );
    let resumed = resumed.bind(tx.dealership()).bind(source).bind(page);
    let ids = resumed.fetch_all(tx.elevate().await?.conn()).await?;
    tx.lower().await?;
    Ok(ids)
}

/// Erases the content of some of the dealership's deliveries.
pub async fn erase_own(tx: &mut TenantTx, ids: &[i64]) -> Result<()> {
    sqlx::query(
        "-- deliveries::erase_own\nUPDATE deliveries SET body = NULL, opinion = NULL WHERE id = ANY ($1) AND dealership_id = $2",
    )
    .bind(ids)
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    Ok(())
}
