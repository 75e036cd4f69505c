use serde_json::Value;
use sqlx::Connection;

use super::{Source, Status};

use crate::{
    db::{JobTx, Result, SystemTx, Transaction, moving},
    ids::{DealershipId, SourceId},
};

/// An authentic delivery, and what is known of it before a worker has read it.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    pub source: Source,
    /// What the source calls it: the same for every attempt and every manual resend.
    pub external_id: &'a str,
    pub event_type: &'a str,
    pub dealership: Option<DealershipId>,
    /// Which of the dealership's sources it came from.
    pub source_id: Option<SourceId>,
    /// Whom it is about, as the source names them, if it is about a person.
    pub subject: Option<&'a str>,
    /// What of the request's head matters for reading the body.
    pub headers: Value,
    /// As it was signed.
    pub body: &'a [u8],
    pub status: Status,
    /// Why it is not pending.
    pub outcome: Option<&'a str>,
}

/// Whether a delivery is new.
#[derive(Debug)]
pub enum Stored {
    /// It is, and has this id.
    New(i64),
    /// It came before. That it came again is noted.
    Repeated,
}

/// Bytes of a body after which a connection's buffers are made small again: it would keep several times as much.
const LONG_BODY: usize = 1024 * 1024;

/// Writes a delivery down, unless it was seen before. What is of no use is not kept: it may well be personal. Of a dealership that is
/// on its way to another server nothing is taken but what Clerk says: an error tells the sender to come again.
pub async fn store(tx: &mut (impl Transaction + JobTx), new: &NewDelivery<'_>) -> Result<Stored> {
    let id: Option<i64> = sqlx::query_scalar(
        "-- deliveries::store
         INSERT INTO deliveries (source, external_id, event_type, dealership_id, subject, body, status, outcome, processed_at,
                                 source_id, headers)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $8::text IS NOT NULL THEN now() END, $9, $10
         WHERE $1 = 'clerk' OR NOT EXISTS (SELECT FROM dealership_moves WHERE dealership_id = $4)
         ON CONFLICT (source, external_id) DO NOTHING RETURNING id",
    )
    .bind(new.source)
    .bind(new.external_id)
    .bind(new.event_type)
    .bind(new.dealership)
    .bind(new.subject)
    .bind((new.status != Status::Ignored).then_some(new.body))
    .bind(new.status)
    .bind(new.outcome)
    .bind(new.source_id)
    .bind(&new.headers)
    .fetch_optional(tx.connection().conn())
    .await?;
    if new.body.len() > LONG_BODY {
        tx.connection().conn().shrink_buffers();
    }
    if let Some(id) = id {
        return Ok(Stored::New(id));
    }
    if new.source != Source::Clerk {
        let asked = sqlx::query_scalar(
            "-- deliveries::store
             SELECT EXISTS (SELECT FROM dealership_moves WHERE dealership_id = $1)",
        );
        let is_moving: bool = asked.bind(new.dealership).fetch_one(tx.connection().conn()).await?;
        if is_moving {
            return Err(moving().into());
        }
    }
    repeat(tx, new.source, new.external_id).await?;
    Ok(Stored::Repeated)
}

/// Which of these a source has sent before.
pub async fn known(tx: &mut SystemTx, source: Source, external_ids: &[String]) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "-- deliveries::known
         SELECT external_id FROM deliveries WHERE source = $1 AND external_id = ANY ($2)",
    )
    .bind(source)
    .bind(external_ids)
    .fetch_all(tx.conn())
    .await?)
}

/// Nothing else of the delivery changes, and whoever processes it is not waited for.
async fn repeat(tx: &mut impl JobTx, source: Source, external_id: &str) -> Result<()> {
    sqlx::query(
        "-- deliveries::repeat
         INSERT INTO delivery_repetitions (delivery_id)
         SELECT id FROM deliveries WHERE source = $1 AND external_id = $2",
    )
    .bind(source)
    .bind(external_id)
    .execute(tx.elevate().await?.conn())
    .await?;
    tx.lower().await
}
