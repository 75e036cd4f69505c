//! What the provider's answer means for a message, its lead and its people.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{late::withdraw_late, queue::enqueue_sending};
use crate::{
    conversations::{Channel, DeliveryStatus},
    db::{Result, TenantTx},
    ids::{LeadId, OutboxId, UserId},
    leads,
    notifications::Event,
};

/// How often a provider is asked that does not take a message, and says so.
const MAX_ATTEMPTS: i16 = 30;

/// A sending, and the message that it sends. Nobody else changes it, nor its lead, before the transaction ends.
#[derive(Debug, FromRow)]
pub(super) struct Locked {
    pub(super) id: OutboxId,
    pub(super) lead_id: Option<LeadId>,
    pub(super) channel: Channel,
    pub(super) automatic: bool,
    pub(super) recipient: String,
    pub(super) status: DeliveryStatus,
    pub(super) attempts: i16,
    pub(super) sender_user_id: Option<UserId>,
    /// The time of the change: later than all that was written down of it so far, even if the clock was put back.
    pub(super) now: DateTime<Utc>,
}

/// Locks a sending, its lead first, as everybody does. `None` if it is gone: with its lead, or withdrawn.
pub(super) async fn lock(tx: &mut TenantTx, id: OutboxId) -> Result<Option<Locked>> {
    let lead: Option<Option<LeadId>> =
        sqlx::query_scalar("-- outbox::lock\nSELECT lead_id FROM outbox WHERE id = $1 AND dealership_id = $2")
            .bind(id)
            .bind(tx.dealership())
            .fetch_optional(tx.conn())
            .await?;
    let Some(lead) = lead else { return Ok(None) };
    if let Some(lead) = lead
        && leads::lock(tx, lead).await?.is_none()
    {
        return Ok(None);
    }
    // The clock is read outside the subquery, which means: after the lock was granted.
    Ok(sqlx::query_as(
        "-- outbox::lock
         WITH o AS MATERIALIZED (SELECT * FROM outbox WHERE id = $1 AND dealership_id = $2 FOR NO KEY UPDATE)
         SELECT o.id, o.lead_id, o.channel, o.automatic, o.recipient, o.status, o.attempts, c.sender_user_id,
                greatest(clock_timestamp(), o.changed_at + interval '1 microsecond') AS now
         FROM o LEFT JOIN conversations c ON c.id = o.message_id AND c.dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

/// The provider has taken it, and calls it so. With `arrives` nothing more will be heard of it: it counts as delivered.
pub async fn mark_accepted(
    tx: &mut TenantTx,
    id: OutboxId,
    provider: &str,
    provider_id: Option<&str>,
    arrives: bool,
) -> Result<()> {
    let Some(locked) = lock(tx, id).await? else { return Ok(()) };
    sqlx::query(
        "-- outbox::mark_accepted
         UPDATE outbox SET provider = $3, provider_id = coalesce($4, provider_id), sent_at = coalesce(sent_at, $5)
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(provider)
    .bind(provider_id)
    .bind(locked.now)
    .execute(tx.conn())
    .await?;
    advance(tx, &locked, DeliveryStatus::Sent, None).await?;
    if arrives && locked.status < DeliveryStatus::Sent {
        count_contact(tx, &locked).await?;
    }
    Ok(())
}

/// The provider has certainly not taken it: it is tried again after a while. What is automatic is withdrawn if a person has
/// answered meanwhile.
pub async fn mark_not_taken(tx: &mut TenantTx, id: OutboxId, after: Duration, reason: &str) -> Result<()> {
    let Some(locked) = lock(tx, id).await? else { return Ok(()) };
    if locked.status != DeliveryStatus::Sending {
        return Ok(());
    }
    if locked.automatic && withdraw_late(tx, id).await? {
        return Ok(());
    }
    if locked.attempts >= MAX_ATTEMPTS {
        return advance(tx, &locked, DeliveryStatus::Failed, Some(reason)).await;
    }
    try_again(tx, &locked, DeliveryStatus::Queued, after, reason).await
}

/// The provider may have taken it, and knows it by its key: it is asked again after a while, and nobody withdraws what the
/// customer may have.
pub async fn mark_retrying(tx: &mut TenantTx, id: OutboxId, after: Duration, reason: &str) -> Result<()> {
    let Some(locked) = lock(tx, id).await? else { return Ok(()) };
    if locked.status != DeliveryStatus::Sending {
        return Ok(());
    }
    if locked.attempts >= MAX_ATTEMPTS {
        return advance(tx, &locked, DeliveryStatus::Unknown, Some(reason)).await;
    }
    try_again(tx, &locked, DeliveryStatus::Sending, after, reason).await
}

async fn try_again(
    tx: &mut TenantTx,
    sending: &Locked,
    status: DeliveryStatus,
    after: Duration,
    reason: &str,
) -> Result<()> {
    let run_at: DateTime<Utc> = sqlx::query_scalar(
        "-- outbox::try_again
         UPDATE outbox SET status = $3, reason = $4, changed_at = $6
         WHERE id = $1 AND dealership_id = $2 RETURNING changed_at + make_interval(secs => $5)",
    )
    .bind(sending.id)
    .bind(tx.dealership())
    .bind(status)
    .bind(reason)
    .bind(after.as_secs_f64())
    .bind(sending.now)
    .fetch_one(tx.conn())
    .await?;
    enqueue_sending(tx, sending.id, sending.channel, Some(run_at)).await
}

/// The provider may have taken it: a report tells, or a person decides.
pub async fn mark_in_doubt(tx: &mut TenantTx, id: OutboxId, provider: &str, reason: &str) -> Result<()> {
    let Some(locked) = lock(tx, id).await? else { return Ok(()) };
    set_provider(tx, id, provider).await?;
    advance(tx, &locked, DeliveryStatus::Unknown, Some(reason)).await
}

/// The provider will not take it.
pub async fn mark_refused(tx: &mut TenantTx, id: OutboxId, provider: &str, reason: &str) -> Result<()> {
    let Some(locked) = lock(tx, id).await? else { return Ok(()) };
    set_provider(tx, id, provider).await?;
    advance(tx, &locked, DeliveryStatus::Failed, Some(reason)).await
}

/// Nobody tries it any more. What was being sent may have been taken.
pub async fn bury(tx: &mut TenantTx, id: OutboxId, reason: &str) -> Result<()> {
    let Some(locked) = lock(tx, id).await? else { return Ok(()) };
    let status = match locked.status {
        DeliveryStatus::Queued => DeliveryStatus::Failed,
        _ => DeliveryStatus::Unknown,
    };
    advance(tx, &locked, status, Some(reason)).await
}

async fn set_provider(tx: &mut TenantTx, id: OutboxId, provider: &str) -> Result<()> {
    sqlx::query("-- outbox::set_provider\nUPDATE outbox SET provider = $3 WHERE id = $1 AND dealership_id = $2")
        .bind(id)
        .bind(tx.dealership())
        .bind(provider)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes a sending further, never back, and does for its lead what that means.
pub(super) async fn advance(tx: &mut TenantTx, from: &Locked, to: DeliveryStatus, reason: Option<&str>) -> Result<()> {
    if to <= from.status {
        return Ok(());
    }
    sqlx::query(
        "-- outbox::advance
         UPDATE outbox SET status = $3, reason = $4, changed_at = $5,
                delivered_at = CASE $3 WHEN 'delivered' THEN $5 ELSE delivered_at END
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(from.id)
    .bind(tx.dealership())
    .bind(to)
    .bind(reason)
    .bind(from.now)
    .execute(tx.conn())
    .await?;
    let Some(lead) = from.lead_id else { return Ok(()) };
    let was_sent = matches!(from.status, DeliveryStatus::Sent | DeliveryStatus::Delivered);
    match to {
        DeliveryStatus::Sent | DeliveryStatus::Delivered if !was_sent => {
            leads::contacted(tx, lead, from.automatic, from.sender_user_id).await?;
        }
        DeliveryStatus::Failed | DeliveryStatus::Bounced => {
            leads::need_human(tx, lead, "an answer did not reach the customer", Event::NotDelivered).await?;
        }
        DeliveryStatus::Unknown => {
            leads::need_human(tx, lead, "nobody knows whether an answer was sent", Event::NotDelivered).await?;
        }
        _ => {}
    }
    if to == DeliveryStatus::Delivered {
        count_contact(tx, from).await?;
    }
    Ok(())
}

async fn count_contact(tx: &mut TenantTx, sending: &Locked) -> Result<()> {
    match sending.lead_id {
        Some(lead) => leads::reached(tx, lead, sending.automatic).await,
        None => Ok(()),
    }
}
