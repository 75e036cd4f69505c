use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::bundle_at;
use crate::{
    db::{Result, TenantTx},
    ids::{OutboxId, UserId},
    jobs::SendEmail,
    queue::{NewJob, enqueue},
};

/// People that are told in one transaction.
const BATCH: i64 = 50;
/// Seconds after which it is looked again whether somebody's quiet hours are over.
const AGAIN: i32 = 600;

/// Puts what waits for each person into one mail. Who has quiet hours is told afterwards. Returns how many mails that makes.
pub async fn bundle(tx: &mut TenantTx) -> Result<usize> {
    let people: Vec<(UserId, String)> = sqlx::query_as(
        "-- notifications::bundle
         WITH clock AS (SELECT (now() AT TIME ZONE 'Europe/Oslo')::time AS here)
         SELECT u.id, u.email FROM users u CROSS JOIN clock
         WHERE u.dealership_id = $1 AND NOT u.suspended
           AND EXISTS (SELECT FROM notifications n WHERE n.user_id = u.id AND n.dealership_id = $1 AND n.outbox_id IS NULL)
           AND NOT coalesce(
             CASE WHEN u.notification_preferences -> 'quiet_hours' ->> 'from' < u.notification_preferences -> 'quiet_hours' ->> 'to'
                  THEN here >= (u.notification_preferences -> 'quiet_hours' ->> 'from')::time
                       AND here < (u.notification_preferences -> 'quiet_hours' ->> 'to')::time
                  ELSE here >= (u.notification_preferences -> 'quiet_hours' ->> 'from')::time
                       OR here < (u.notification_preferences -> 'quiet_hours' ->> 'to')::time END, false)
         ORDER BY u.id LIMIT $2",
    )
    .bind(tx.dealership())
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await?;
    for (user, address) in &people {
        let outbox_id = OutboxId::from(Uuid::new_v4());
        sqlx::query(
            "-- notifications::bundle
             WITH mail AS (
               INSERT INTO outbox (id, dealership_id, user_id, channel, automatic, recipient)
               VALUES ($1, $2, $3, 'email', true, $4))
             UPDATE notifications SET outbox_id = $1
             WHERE user_id = $3 AND dealership_id = $2 AND outbox_id IS NULL",
        )
        .bind(outbox_id)
        .bind(tx.dealership())
        .bind(user)
        .bind(address)
        .execute(tx.conn())
        .await?;
        enqueue(tx, &NewJob::now(&SendEmail { outbox_id })).await?;
    }
    try_again(tx).await?;
    Ok(people.len())
}

/// For those who have quiet hours now, and for those of the next batch.
async fn try_again(tx: &mut TenantTx) -> Result<()> {
    let due: Option<DateTime<Utc>> = sqlx::query_scalar(
        "-- notifications::try_again
         SELECT to_timestamp((floor(extract(epoch FROM now()) / $2) + 1) * $2) WHERE EXISTS (
           SELECT FROM notifications n JOIN users u ON u.id = n.user_id AND u.dealership_id = $1
           WHERE n.dealership_id = $1 AND n.outbox_id IS NULL AND NOT u.suspended)",
    )
    .bind(tx.dealership())
    .bind(AGAIN)
    .fetch_optional(tx.conn())
    .await?;
    match due {
        Some(due) => bundle_at(tx, due).await,
        None => Ok(()),
    }
}

/// Drops what waits to be told.
pub async fn forget(tx: &mut TenantTx) -> Result<()> {
    sqlx::query("-- notifications::forget\nDELETE FROM notifications WHERE dealership_id = $1 AND outbox_id IS NULL")
        .bind(tx.dealership())
        .execute(tx.conn())
        .await?;
    Ok(())
}
