use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{By, bundle_at};
use crate::{
    db::{Result, TenantTx},
    ids::{OutboxId, UserId},
    jobs::{SendEmail, SendSms},
    queue::{NewJob, enqueue},
};

/// People that are told in one transaction.
const BATCH: i64 = 50;
/// Seconds after which it is looked again whether somebody's quiet hours are over.
const AGAIN: i32 = 600;
/// Seconds from one text message to the next: what happens meanwhile is told together.
const APART: i32 = 600;
/// Text messages that somebody gets in 24 hours; what is more is not worth a telephone that rings.
const TEXTS_OF_A_DAY: i64 = 10;

/// What was sent to people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bundled {
    pub mails: usize,
    pub texts: usize,
}

/// Whether somebody has no quiet hours now.
macro_rules! awake {
    () => {
        "NOT coalesce(
           CASE WHEN u.notification_preferences -> 'quiet_hours' ->> 'from' < u.notification_preferences -> 'quiet_hours' ->> 'to'
                THEN here >= (u.notification_preferences -> 'quiet_hours' ->> 'from')::time
                     AND here < (u.notification_preferences -> 'quiet_hours' ->> 'to')::time
                ELSE here >= (u.notification_preferences -> 'quiet_hours' ->> 'from')::time
                     OR here < (u.notification_preferences -> 'quiet_hours' ->> 'to')::time END, false)"
    };
}

/// Puts what waits for each person into one mail and one text message. Who has quiet hours is told afterwards, and who got a text
/// message just now, with the next one.
pub async fn bundle(tx: &mut TenantTx) -> Result<Bundled> {
    let by_mail: Vec<(UserId, String)> = sqlx::query_as(concat!(
        "-- notifications::bundle
         WITH clock AS (SELECT (now() AT TIME ZONE 'Europe/Oslo')::time AS here)
         SELECT u.id, u.email FROM users u CROSS JOIN clock
         WHERE u.dealership_id = $1 AND NOT u.suspended
           AND EXISTS (SELECT FROM notifications n
                       WHERE n.user_id = u.id AND n.dealership_id = $1 AND n.outbox_id IS NULL AND n.channel = 'email') AND ",
        awake!(),
        " ORDER BY u.id LIMIT $2"
    ))
    .bind(tx.dealership())
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await?;
    for (user, address) in &by_mail {
        let outbox_id = put(tx, *user, By::Email, address).await?;
        enqueue(tx, &NewJob::now(&SendEmail { outbox_id })).await?;
    }
    forget_excess(tx).await?;
    let by_text: Vec<(UserId, String)> = sqlx::query_as(concat!(
        "-- notifications::bundle_texts
         WITH clock AS (SELECT (now() AT TIME ZONE 'Europe/Oslo')::time AS here)
         SELECT u.id, u.phone FROM users u CROSS JOIN clock
         WHERE u.dealership_id = $1 AND NOT u.suspended AND u.phone IS NOT NULL
           AND EXISTS (SELECT FROM notifications n
                       WHERE n.user_id = u.id AND n.dealership_id = $1 AND n.outbox_id IS NULL AND n.channel = 'sms')
           AND NOT EXISTS (SELECT FROM outbox o
                           WHERE o.user_id = u.id AND o.dealership_id = $1 AND o.channel = 'sms'
                             AND o.created_at > now() - make_interval(secs => $3)) AND ",
        awake!(),
        " ORDER BY u.id LIMIT $2"
    ))
    .bind(tx.dealership())
    .bind(BATCH)
    .bind(APART)
    .fetch_all(tx.conn())
    .await?;
    for (user, number) in &by_text {
        let outbox_id = put(tx, *user, By::Sms, number).await?;
        enqueue(tx, &NewJob::now(&SendSms { outbox_id })).await?;
    }
    try_again(tx).await?;
    Ok(Bundled { mails: by_mail.len(), texts: by_text.len() })
}

async fn put(tx: &mut TenantTx, user: UserId, channel: By, address: &str) -> Result<OutboxId> {
    let outbox_id = OutboxId::from(Uuid::new_v4());
    sqlx::query(
        "-- notifications::put
         WITH notice AS (
           INSERT INTO outbox (id, dealership_id, user_id, channel, automatic, recipient)
           VALUES ($1, $2, $3, $5, true, $4))
         UPDATE notifications SET outbox_id = $1
         WHERE user_id = $3 AND dealership_id = $2 AND outbox_id IS NULL AND channel = $5",
    )
    .bind(outbox_id)
    .bind(tx.dealership())
    .bind(user)
    .bind(address)
    .bind(channel)
    .execute(tx.conn())
    .await?;
    Ok(outbox_id)
}

/// Drops what would be more text messages than somebody gets in a day, or has no number any more to go to.
async fn forget_excess(tx: &mut TenantTx) -> Result<()> {
    sqlx::query(
        "-- notifications::forget_excess
         DELETE FROM notifications n
         WHERE n.dealership_id = $1 AND n.outbox_id IS NULL AND n.channel = 'sms' AND n.user_id IN (
           SELECT u.id FROM users u
           WHERE u.dealership_id = $1
             AND (u.phone IS NULL
                  OR (SELECT count(*) FROM (
                        SELECT FROM outbox o
                        WHERE o.user_id = u.id AND o.dealership_id = $1 AND o.channel = 'sms'
                          AND o.created_at > now() - interval '24 hours' LIMIT $2) AS today) >= $2))",
    )
    .bind(tx.dealership())
    .bind(TEXTS_OF_A_DAY)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// For those who have quiet hours now or got a text message just now, and for those of the next batch.
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

/// Drops what waits to be told by a channel.
pub async fn forget(tx: &mut TenantTx, channel: By) -> Result<()> {
    sqlx::query(
        "-- notifications::forget
         DELETE FROM notifications WHERE dealership_id = $1 AND outbox_id IS NULL AND channel = $2",
    )
    .bind(tx.dealership())
    .bind(channel)
    .execute(tx.conn())
    .await?;
    Ok(())
}
