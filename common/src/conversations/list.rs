use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row};

use super::{Message, columns};
use crate::{
    db::{Result, TenantTx},
    ids::{LeadId, MessageId},
    page::{Before, MAX_PART, Part},
};

/// The next message of the lead `$1` before a place, and how many bytes it has as JSON, at most: besides its texts, fewer
/// than 600.
macro_rules! next {
    ($place:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", 600 + octet_length(to_json(sender)::text) + octet_length(to_json(message_content)::text)
                 + octet_length(message_metadata::text)::bigint AS bytes
             FROM conversations WHERE lead_id = $1 AND dealership_id = $2 AND (created_at, id) < ",
            $place,
            " ORDER BY created_at DESC, id DESC LIMIT 1"
        )
    };
}

/// What became of the last sending of each message of `part`, with the rows themselves. The dealership is `$2`.
macro_rules! delivery {
    () => {
        ", o.status AS delivery_status, o.changed_at AS delivery_at, o.reason AS delivery_reason
         FROM part LEFT JOIN LATERAL (
           SELECT status, changed_at, reason FROM outbox
           WHERE message_id = part.id AND dealership_id = $2 ORDER BY created_at DESC, id DESC LIMIT 1) o ON true"
    };
}

/// Bytes of JSON that a part of a lead's messages has at most, unless a single message has more.
const MAX_PART_BYTES: i64 = 1 << 20;

/// The messages of a lead, newest first: a part of them, bounded in number and in bytes. `None` if they do not include
/// the one that it is to come before.
pub async fn of_lead(tx: &mut TenantTx, lead: LeadId, request: Before<MessageId>) -> Result<Option<Part<Message>>> {
    let mut place: Option<DateTime<Utc>> = None;
    if let Some(before) = request.before {
        place = sqlx::query_scalar(
            "-- conversations::of_lead
             SELECT created_at FROM conversations WHERE id = $1 AND lead_id = $2 AND dealership_id = $3",
        )
        .bind(before)
        .bind(lead)
        .bind(tx.dealership())
        .fetch_optional(tx.conn())
        .await?;
        if place.is_none() {
            return Ok(None);
        }
    }
    // One message after the other along the index, so that no more are read than are shown, and the one that is too much.
    let rows = sqlx::query(concat!(
        "-- conversations::of_lead
         WITH RECURSIVE part AS (
           SELECT *, 1::bigint AS number, bytes AS total, true AS fits FROM (",
        next!("(coalesce($3, 'infinity'), coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))"),
        ") newest
           UNION ALL
           SELECT next.*, number + 1, total + next.bytes, number < $5 AND total + next.bytes <= $6
           FROM part CROSS JOIN LATERAL (",
        next!("(part.created_at, part.id)"),
        ") next
           WHERE fits)
         SELECT ",
        columns!(),
        ", EXISTS (SELECT FROM part WHERE NOT fits) AS more",
        delivery!(),
        " WHERE fits ORDER BY number"
    ))
    .bind(lead)
    .bind(tx.dealership())
    .bind(place)
    .bind(request.before)
    .bind(MAX_PART)
    .bind(MAX_PART_BYTES)
    .fetch_all(tx.conn())
    .await?;
    let more = rows.first().map_or(Ok(false), |row| row.try_get("more"))?;
    let items = rows.iter().map(Message::from_row).collect::<Result<_, _>>()?;
    Ok(Some(Part { items, more }))
}

/// One message, unless the dealership has none such.
pub async fn find(tx: &mut TenantTx, id: MessageId) -> Result<Option<Message>> {
    let find = sqlx::query_as(concat!(
        "-- conversations::find
         WITH part AS (SELECT * FROM conversations WHERE id = $1 AND dealership_id = $2)
         SELECT ",
        columns!(),
        delivery!()
    ));
    Ok(find.bind(id).bind(tx.dealership()).fetch_optional(tx.conn()).await?)
}
