use sqlx::FromRow;

use super::{
    late::is_late,
    settle::{advance, lock},
    suppression::suppressed,
};
use crate::{
    conversations::{Channel, DeliveryStatus, Direction},
    db::{Result, TenantTx},
    ids::{LeadId, OutboxId},
    notifications::Event,
};

/// What came of it before.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// How often it was tried.
    pub attempts: i16,
    /// Whether the provider may have taken it already.
    pub is_in_doubt: bool,
}

/// A message with all that is needed to send it.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    pub id: OutboxId,
    pub tried: Tried,
    /// Its Message-ID, without angle brackets.
    pub mail_id: String,
    pub channel: Channel,
    /// Written by nobody at the dealership.
    pub automatic: bool,
    pub recipient: String,
    pub text: MessageText,
    pub sender: Sender,
    /// Message-IDs of the conversation so far, oldest first; the last one is answered.
    pub thread: Vec<String>,
    /// What the customer wrote last.
    pub answers: Option<Reply>,
}

/// What a message says.
#[derive(Debug, Clone, FromRow)]
pub struct MessageText {
    pub customer_name: Option<String>,
    /// Who wrote it, by name.
    pub author: String,
    pub content: String,
    /// Of an automatic one.
    pub language: Option<String>,
    /// Whether an assistant wrote it.
    pub by_assistant: bool,
    /// Of the mail that began the conversation.
    pub subject: Option<String>,
    pub vehicle_interest: Option<String>,
}

/// The dealership, as the customer sees it.
#[derive(Debug, Clone, FromRow)]
pub struct Sender {
    pub name: String,
    /// None as long as it has told us none.
    pub email: Option<String>,
    pub phone: Option<String>,
    pub address: Option<String>,
    pub logo_url: Option<String>,
    pub signature: Option<String>,
    /// Of its address for mails.
    pub mail_key: Option<String>,
}

/// What a customer wrote.
#[derive(Debug, Clone, FromRow)]
pub struct Reply {
    pub text: String,
    /// In Norway, as people write it: `30.11.2026 14:05`.
    pub at: String,
}

/// How a message may be sent.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The domain of our Message-IDs.
    pub domain: &'a str,
    /// Whether the provider takes a message once, however often it is asked with the same key.
    pub is_idempotent: bool,
}

/// What people of the dealership are told, with all that is needed to send it.
#[derive(Debug, Clone)]
pub struct OutgoingNotice {
    pub id: OutboxId,
    pub tried: Tried,
    /// Its Message-ID, without angle brackets.
    pub mail_id: String,
    pub recipient: String,
    pub sender: Sender,
    pub lines: Vec<NoticeLine>,
}

/// One thing that happened.
#[derive(Debug, Clone, FromRow)]
pub struct NoticeLine {
    pub event: Event,
    pub customer_name: Option<String>,
    pub vehicle_interest: Option<String>,
}

/// What is to be sent.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// To a customer.
    Message(Box<OutgoingMessage>),
    /// To a person of the dealership.
    Notice(Box<OutgoingNotice>),
}

/// Takes a message for sending: it is `sending` once the transaction has committed. `None` if there is nothing to send: it
/// is gone, or sent, or may have been sent by somebody who died meanwhile, or its address takes no messages.
pub async fn take(tx: &mut TenantTx, id: OutboxId, way: Way<'_>) -> Result<Option<Outgoing>> {
    let Some(locked) = lock(tx, id).await? else { return Ok(None) };
    match locked.status {
        DeliveryStatus::Queued => {}
        DeliveryStatus::Sending if locked.automatic && is_late(tx, id).await? => {
            advance(tx, &locked, DeliveryStatus::Unknown, Some("a person answered while the provider was asked"))
                .await?;
            return Ok(None);
        }
        DeliveryStatus::Sending if way.is_idempotent => {}
        DeliveryStatus::Sending => {
            let reason = "the worker stopped while it asked the provider";
            advance(tx, &locked, DeliveryStatus::Unknown, Some(reason)).await?;
            return Ok(None);
        }
        _ => return Ok(None),
    }
    if let Some(reason) = suppressed(tx, locked.channel, &locked.recipient).await? {
        advance(tx, &locked, DeliveryStatus::Failed, Some(reason.told())).await?;
        return Ok(None);
    }
    let tried = Tried { attempts: locked.attempts, is_in_doubt: locked.status == DeliveryStatus::Sending };
    let mail_id = format!("{}@{}", uuid::Uuid::from(id).simple(), way.domain);
    sqlx::query(
        "-- outbox::take
         UPDATE outbox SET status = 'sending', attempts = attempts + 1, sending_at = $4, changed_at = $4, mail_id = $3
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(&mail_id)
    .bind(locked.now)
    .execute(tx.conn())
    .await?;
    let Some(lead) = locked.lead_id else {
        return Ok(Some(Outgoing::Notice(Box::new(OutgoingNotice {
            id,
            tried,
            mail_id,
            recipient: locked.recipient,
            sender: sender(tx).await?,
            lines: notice(tx, id).await?,
        }))));
    };
    Ok(Some(Outgoing::Message(Box::new(OutgoingMessage {
        id,
        tried,
        mail_id,
        channel: locked.channel,
        automatic: locked.automatic,
        recipient: locked.recipient,
        text: text(tx, id).await?,
        sender: sender(tx).await?,
        thread: thread(tx, lead, id).await?,
        answers: answered(tx, lead).await?,
    }))))
}

#[derive(FromRow)]
struct Addressee {
    customer_name: Option<String>,
    subject: Option<String>,
    vehicle_interest: Option<String>,
    recipient: Option<String>,
}

/// What a message of somebody's would be, were it sent now. `None` if the dealership has no such lead; no recipient where the
/// customer has no address for the channel.
pub async fn preview(
    tx: &mut TenantTx,
    lead: LeadId,
    channel: Channel,
    author: &str,
    content: &str,
) -> Result<Option<OutgoingMessage>> {
    let addressee: Option<Addressee> = sqlx::query_as(
        "-- outbox::preview
         SELECT customer_name, source_metadata ->> 'subject' AS subject, vehicle_interest,
                CASE $3 WHEN 'email' THEN customer_email ELSE customer_phone_e164 END AS recipient
         FROM leads WHERE id = $1 AND dealership_id = $2",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(channel)
    .fetch_optional(tx.conn())
    .await?;
    let Some(Addressee { customer_name, subject, vehicle_interest, recipient }) = addressee else { return Ok(None) };
    let text = MessageText {
        customer_name,
        author: author.to_owned(),
        content: content.to_owned(),
        language: None,
        by_assistant: false,
        subject,
        vehicle_interest,
    };
    Ok(Some(OutgoingMessage {
        id: uuid::Uuid::nil().into(),
        tried: Tried { attempts: 0, is_in_doubt: false },
        mail_id: String::new(),
        channel,
        automatic: false,
        recipient: recipient.unwrap_or_default(),
        text,
        sender: sender(tx).await?,
        thread: Vec::new(),
        answers: answered(tx, lead).await?,
    }))
}

/// Things that one mail tells.
const MAX_LINES: i64 = 100;

async fn notice(tx: &mut TenantTx, id: OutboxId) -> Result<Vec<NoticeLine>> {
    Ok(sqlx::query_as(
        "-- outbox::notice
         SELECT n.event, l.customer_name, l.vehicle_interest
         FROM notifications n LEFT JOIN leads l ON l.id = n.lead_id AND l.dealership_id = $2
         WHERE n.outbox_id = $1 AND n.dealership_id = $2 ORDER BY n.created_at, n.id LIMIT $3",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(MAX_LINES)
    .fetch_all(tx.conn())
    .await?)
}

async fn text(tx: &mut TenantTx, id: OutboxId) -> Result<MessageText> {
    Ok(sqlx::query_as(
        "-- outbox::text
         SELECT l.customer_name, c.sender AS author, c.message_content AS content, c.message_metadata ->> 'language' AS language,
                coalesce(c.message_metadata ->> 'author' = 'assistant', false) AS by_assistant,
                l.source_metadata ->> 'subject' AS subject, l.vehicle_interest
         FROM outbox o
         JOIN conversations c ON c.id = o.message_id AND c.dealership_id = $2
         JOIN leads l ON l.id = o.lead_id AND l.dealership_id = $2
         WHERE o.id = $1 AND o.dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?)
}

async fn sender(tx: &mut TenantTx) -> Result<Sender> {
    Ok(sqlx::query_as(
        "-- outbox::sender
         SELECT d.name, CASE WHEN d.email NOT LIKE '%@dealership.invalid' THEN d.email END AS email, d.phone, d.address,
                s.logo_url, s.signature,
                (SELECT key FROM lead_sources WHERE dealership_id = $1 AND kind = 'email' AND enabled
                 ORDER BY created_at, id LIMIT 1) AS mail_key
         FROM dealerships d LEFT JOIN answer_settings s ON s.dealership_id = $1
         WHERE d.id = $1",
    )
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?)
}

/// Enough for a mail program to put the mail where it belongs.
const MAX_THREAD: i64 = 10;

async fn thread(tx: &mut TenantTx, lead: LeadId, but: OutboxId) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "-- outbox::thread
         SELECT mail_id FROM (
           SELECT mail_id, received_at AS at FROM inquiries
           WHERE lead_id = $1 AND dealership_id = $2 AND mail_id IS NOT NULL
           UNION ALL
           SELECT mail_id, sent_at FROM outbox
           WHERE lead_id = $1 AND dealership_id = $2 AND mail_id IS NOT NULL AND sent_at IS NOT NULL AND id <> $3
           ORDER BY at DESC LIMIT $4) latest
         ORDER BY at",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(but)
    .bind(MAX_THREAD)
    .fetch_all(tx.conn())
    .await?)
}

/// What the customer wrote last: a message, or the inquiry.
async fn answered(tx: &mut TenantTx, lead: LeadId) -> Result<Option<Reply>> {
    Ok(sqlx::query_as(
        "-- outbox::answered
         SELECT text, to_char(at AT TIME ZONE 'Europe/Oslo', 'DD.MM.YYYY HH24:MI') AS at FROM (
           SELECT message_content AS text, created_at AS at FROM conversations
           WHERE lead_id = $1 AND dealership_id = $2 AND direction = $3
           UNION ALL
           SELECT initial_message, created_at FROM leads
           WHERE id = $1 AND dealership_id = $2 AND initial_message IS NOT NULL) written
         ORDER BY written.at DESC LIMIT 1",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(Direction::Inbound)
    .fetch_optional(tx.conn())
    .await?)
}
