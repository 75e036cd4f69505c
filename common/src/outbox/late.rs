use crate::{
    db::{Result, TenantTx},
    ids::OutboxId,
};

/// Whether a person has answered since an automatic message was written. What a person sends again is never late.
pub(super) async fn is_late(tx: &mut TenantTx, sending: OutboxId) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "-- outbox::is_late
         SELECT EXISTS (
             SELECT FROM conversations c
             WHERE c.lead_id = o.lead_id AND c.dealership_id = $2 AND c.direction = 'outbound' AND c.sender_type = 'human')
           AND NOT EXISTS (
             SELECT FROM outbox e WHERE e.message_id = o.message_id AND e.dealership_id = $2 AND e.id <> o.id)
         FROM outbox o WHERE o.id = $1 AND o.dealership_id = $2",
    )
    .bind(sending)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?
    .unwrap_or(false))
}

/// Withdraws an automatic message that the provider has not taken, if it is late. The lead is locked.
pub(super) async fn withdraw_late(tx: &mut TenantTx, sending: OutboxId) -> Result<bool> {
    if !is_late(tx, sending).await? {
        return Ok(false);
    }
    sqlx::query(
        "-- outbox::withdraw_late
         WITH sent AS (SELECT lead_id, message_id FROM outbox WHERE id = $1 AND dealership_id = $2),
         withdrawn AS (
           UPDATE answers SET state = 'withdrawn', reason = 'a person answered first', settled_at = now()
           WHERE dealership_id = $2 AND kind = 'answer' AND lead_id = (SELECT lead_id FROM sent)
             AND message_id = (SELECT message_id FROM sent))
         DELETE FROM conversations WHERE dealership_id = $2 AND id = (SELECT message_id FROM sent)",
    )
    .bind(sending)
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    Ok(true)
}
