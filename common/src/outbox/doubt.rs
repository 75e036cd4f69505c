use super::settle::{advance, lock};
use crate::{
    conversations::DeliveryStatus,
    db::{Result, TenantTx},
    ids::OutboxId,
};

/// Messages taken into doubt in one transaction.
const BATCH: i64 = 500;

/// Takes messages that are on their way for messages that may have been sent: nobody sends them by themselves any more, and a
/// person decides. Returns how many, at most [`BATCH`] at a time: repeat it, each time in a transaction, until there is none.
pub async fn doubt(tx: &mut TenantTx, on_their_way: &[DeliveryStatus], reason: &str) -> Result<usize> {
    let words: Vec<&str> = on_their_way.iter().map(|status| status.as_str()).collect();
    let ids: Vec<OutboxId> = sqlx::query_scalar(
        "-- outbox::doubt
         SELECT id FROM outbox WHERE dealership_id = $1 AND status IN ('queued', 'sending', 'unknown') AND status = ANY ($2)
         ORDER BY created_at, id LIMIT $3",
    )
    .bind(tx.dealership())
    .bind(&words)
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await?;
    for &id in &ids {
        if let Some(locked) = lock(tx, id).await?
            && on_their_way.contains(&locked.status)
        {
            advance(tx, &locked, DeliveryStatus::Unknown, Some(reason)).await?;
        }
    }
    Ok(ids.len())
}
