//! Messages between a dealership and its customers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, Row};
use utoipa::ToSchema;

use crate::{
    db::{Caller, Error, Result, TenantTx},
    ids::{ClerkUserId, DealershipId, LeadId, MessageId, UserId},
    input::{Fields, FromFields, text, uuid},
    leads::{self, MESSAGE_LIMIT},
    page::{Before, MAX_PART, Part},
    text_enum::text_enum,
};

text_enum!(
    /// How a message travels.
    Channel {
        /// E-mail.
        Email = "email",
        /// Text message.
        Sms = "sms",
        /// Facebook Messenger.
        Facebook = "facebook",
        /// A form or chat on a web site.
        Website = "website",
        /// Entered by hand, such as a note of a phone call.
        Manual = "manual",
    }
);

text_enum!(
    /// Which way a message goes.
    Direction {
        /// From the customer.
        Inbound = "inbound",
        /// To the customer.
        Outbound = "outbound",
    }
);

text_enum!(
    /// Who wrote a message.
    SenderType {
        /// The customer.
        Customer = "customer",
        /// The automatic answer.
        Ai = "ai",
        /// A person at the dealership.
        Human = "human",
    }
);

/// One message.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Message {
    /// Identifies the message.
    pub id: MessageId,
    /// The lead it belongs to.
    pub lead_id: LeadId,
    /// The dealership it belongs to.
    pub dealership_id: DealershipId,
    /// How it travels, such as by e-mail.
    pub channel: Channel,
    /// Whether it came from the customer or went to them.
    pub direction: Direction,
    /// Who wrote it, by name.
    #[schema(example = "Kari Nordmann")]
    pub sender: String,
    /// The membership of the author, if that is a person of the dealership.
    pub sender_user_id: Option<UserId>,
    /// Clerk user who acted as that person, if somebody did.
    pub impersonator: Option<String>,
    /// What kind of sender that is.
    pub sender_type: SenderType,
    /// The text of the message.
    #[schema(example = "Hei Bjørn! Ja, vi har to på lager. Passer det med prøvekjøring på torsdag?")]
    pub message_content: String,
    /// What else the channel told.
    #[schema(value_type = Object)]
    pub message_metadata: Value,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// A message to be written down.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The lead it belongs to.
    pub lead_id: LeadId,
    /// How it travels, such as by e-mail.
    pub channel: Channel,
    /// Whether it came from the customer or went to them.
    pub direction: Direction,
    /// Who wrote it, by name.
    pub sender: String,
    /// Their membership, should they be of the dealership.
    pub sender_user_id: Option<UserId>,
    /// The person behind that membership, who may ask to be forgotten.
    pub sender_clerk_user_id: Option<ClerkUserId>,
    /// Who acts as that person, if somebody does.
    pub impersonator: Option<ClerkUserId>,
    /// What kind of sender that is.
    pub sender_type: SenderType,
    /// The text of the message.
    pub message_content: String,
    /// What else the channel told, as a JSON object.
    pub message_metadata: Value,
    /// When it was written, if that was not now.
    pub created_at: Option<DateTime<Utc>>,
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, lead_id, dealership_id, channel, direction, sender, sender_user_id, impersonator, sender_type, message_content, \
         message_metadata, created_at"
    };
}

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

/// What a request says of a message to a customer.
#[derive(Debug, Clone, ToSchema)]
pub struct Reply {
    /// The lead to answer.
    pub lead_id: LeadId,
    /// The text to send.
    #[schema(min_length = 1, max_length = 20_000, example = "Hei Bjørn! Ja, vi har to på lager.")]
    pub message_content: String,
    /// How to send it.
    pub channel: Channel,
}

impl FromFields for Reply {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let lead_id = fields.required("lead_id", uuid("a lead"));
        let message_content = fields.required("message_content", text(MESSAGE_LIMIT));
        let channel = fields.required("channel", Channel::parse);
        Some(Self { lead_id: lead_id?, message_content: message_content?, channel: channel? })
    }
}

impl Reply {
    /// The message that a person sends.
    pub fn by(&self, sender: &Caller) -> NewMessage {
        NewMessage {
            lead_id: self.lead_id,
            channel: self.channel,
            direction: Direction::Outbound,
            sender: sender.name.clone(),
            sender_user_id: Some(sender.id),
            sender_clerk_user_id: Some(sender.clerk_user_id.clone()),
            impersonator: sender.impersonator.clone(),
            sender_type: SenderType::Human,
            message_content: self.message_content.clone(),
            message_metadata: json!({}),
            created_at: None,
        }
    }
}

/// Bytes of JSON that a part of a lead's messages has at most, unless a single message has more.
const MAX_PART_BYTES: i64 = 1 << 20;

/// Why a message was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The author's membership has ended meanwhile.
    #[error("the author is no longer a member of the dealership")]
    AuthorGone,
    /// The database did not do it.
    #[error(transparent)]
    Db(Error),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error.constraint() {
            Some("conversations_sender_user_id_dealership_id_fkey") => Self::AuthorGone,
            _ => Self::Db(error),
        }
    }
}

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
        ", EXISTS (SELECT FROM part WHERE NOT fits) AS more FROM part WHERE fits ORDER BY number"
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

/// Writes a message down, or does nothing if the dealership has no such lead. What goes to the customer counts as
/// contact, and the first of it as the first response.
pub async fn create(tx: &mut TenantTx, new: &NewMessage) -> Result<Option<Message>, WriteError> {
    let Some(lead) = leads::lock(tx, new.lead_id).await? else { return Ok(None) };
    sqlx::query_as(concat!(
        "-- conversations::create
         WITH contact AS (
           UPDATE leads
           SET updated_at = $12,
               last_contact_at = CASE WHEN $4 = 'outbound' THEN greatest(last_contact_at, $8) ELSE last_contact_at END,
               first_response_time = CASE WHEN $4 = 'outbound'
                 THEN least(first_response_time, greatest($8 - created_at, interval '0')) ELSE first_response_time END
           WHERE id = $1 AND dealership_id = $2)
         INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content,
                                    created_at, sender_user_id, sender_clerk_user_id, impersonator, message_metadata)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13)
         RETURNING ",
        columns!()
    ))
    .bind(new.lead_id)
    .bind(tx.dealership())
    .bind(new.channel)
    .bind(new.direction)
    .bind(&new.sender)
    .bind(new.sender_type)
    .bind(&new.message_content)
    .bind(new.created_at.unwrap_or(lead.now))
    .bind(new.sender_user_id)
    .bind(&new.sender_clerk_user_id)
    .bind(&new.impersonator)
    .bind(lead.now)
    .bind(&new.message_metadata)
    .fetch_optional(tx.conn())
    .await
    .map_err(|error| Error::from(error).into())
}
