use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::suppression::{SuppressionReason, lift};
use crate::{
    conversations::{self, Channel, Delivery, DeliveryStatus, Message, NewMessage, WriteError},
    db::{self, Error, TenantTx},
    ids::{MessageId, OutboxId},
    jobs::{SendEmail, SendSms},
    leads::{self, LockedLead},
    queue::{NewJob, enqueue},
};

/// Writes a message down and has it sent to the lead's customer once the transaction has committed. It has failed at once
/// where the customer has no address for its channel. `automatic` is what nobody at the dealership has written.
pub async fn send(
    tx: &mut TenantTx,
    lead: &LockedLead,
    new: &NewMessage,
    automatic: bool,
) -> Result<Message, WriteError> {
    let mut message = conversations::create_unsent(tx, lead, new).await?;
    message.delivery = Some(queue(tx, &message, automatic).await?);
    Ok(message)
}

async fn queue(tx: &mut TenantTx, message: &Message, automatic: bool) -> db::Result<Delivery> {
    let channel = message.channel;
    let id = OutboxId::from(Uuid::new_v4());
    let missing = match channel {
        Channel::Sms => "the lead has no phone number",
        _ => "the lead has no e-mail address",
    };
    let (status, at, reason): (DeliveryStatus, DateTime<Utc>, Option<String>) = sqlx::query_as(
        "-- outbox::queue
         INSERT INTO outbox (id, dealership_id, message_id, lead_id, channel, automatic, recipient, status, reason)
         SELECT $1, $2, $3, l.id, $5, $6, coalesce(a.address, ''), CASE WHEN a.address IS NULL THEN 'failed' ELSE 'queued' END,
                CASE WHEN a.address IS NULL THEN $7 END
         FROM leads l
         CROSS JOIN LATERAL (SELECT CASE $5 WHEN 'email' THEN l.customer_email ELSE l.customer_phone_e164 END AS address) a
         WHERE l.id = $4 AND l.dealership_id = $2
         RETURNING status, changed_at, reason",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(message.id)
    .bind(message.lead_id)
    .bind(channel)
    .bind(automatic)
    .bind(missing)
    .fetch_one(tx.conn())
    .await?;
    if status == DeliveryStatus::Queued {
        enqueue_sending(tx, id, channel, None).await?;
    }
    Ok(Delivery { status, at, reason })
}

/// Has a worker send what is queued.
pub(super) async fn enqueue_sending(
    tx: &mut TenantTx,
    id: OutboxId,
    channel: Channel,
    run_at: Option<DateTime<Utc>>,
) -> db::Result<()> {
    match channel {
        Channel::Sms => enqueue(tx, &NewJob { run_at, ..NewJob::now(&SendSms { outbox_id: id }) }).await?,
        _ => enqueue(tx, &NewJob { run_at, ..NewJob::now(&SendEmail { outbox_id: id }) }).await?,
    };
    Ok(())
}

/// Why a message is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum NotAgain {
    /// The dealership has none such.
    #[error("there is no such message")]
    Missing,
    /// It is on its way, or has arrived, or was never sent.
    #[error("the message is on its way, or has arrived, or was never to be sent")]
    NotLost,
    #[error("the customer has no address for it any more")]
    NoAddress,
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for NotAgain {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Sends a message once more that failed, came back, or may have been lost: a person has decided so.
pub async fn send_again(tx: &mut TenantTx, message: MessageId) -> Result<Delivery, NotAgain> {
    let message = conversations::find(tx, message).await?.ok_or(NotAgain::Missing)?;
    leads::lock(tx, message.lead_id).await?.ok_or(NotAgain::Missing)?;
    let last: Option<(DeliveryStatus, bool, String)> = sqlx::query_as(
        "-- outbox::send_again
         SELECT status, automatic, recipient FROM outbox WHERE message_id = $1 AND dealership_id = $2
         ORDER BY created_at DESC, id DESC LIMIT 1 FOR NO KEY UPDATE",
    )
    .bind(message.id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?;
    match last {
        Some((DeliveryStatus::Failed | DeliveryStatus::Bounced | DeliveryStatus::Unknown, automatic, recipient)) => {
            // A report was the only one who said that the address takes nothing. Whoever wants no more messages stays alone.
            lift(tx, message.channel, &recipient, SuppressionReason::Bounce).await?;
            let delivery = queue(tx, &message, automatic).await?;
            if delivery.status == DeliveryStatus::Queued { Ok(delivery) } else { Err(NotAgain::NoAddress) }
        }
        _ => Err(NotAgain::NotLost),
    }
}
