//! Messages between a dealership and its customers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    db::{Caller, Error, Result, TenantTx},
    ids::{ClerkUserId, DealershipId, LeadId, MessageId, UserId},
    input::{Fields, FromFields, text, uuid},
    leads::MESSAGE_LIMIT,
    page::LONGEST_LIST,
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
    /// The message.
    pub id: MessageId,
    /// The lead it belongs to.
    pub lead_id: LeadId,
    /// The dealership it belongs to.
    pub dealership_id: DealershipId,
    /// How it travels.
    pub channel: Channel,
    /// Which way.
    pub direction: Direction,
    /// Who wrote it, by name.
    #[schema(example = "Kari Nordmann")]
    pub sender: String,
    /// The membership of whoever wrote it, should it be a person of the dealership.
    pub sender_user_id: Option<UserId>,
    /// Clerk user who acted as that person, if somebody did.
    pub impersonator: Option<String>,
    /// What kind of sender that is.
    pub sender_type: SenderType,
    /// What it says.
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
    /// How it travels.
    pub channel: Channel,
    /// Which way.
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
    /// What it says.
    pub message_content: String,
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

/// What a request says of a message to a customer.
#[derive(Debug, Clone, ToSchema)]
pub struct Reply {
    /// The lead to answer.
    pub lead_id: LeadId,
    /// What to say.
    #[schema(min_length = 1, max_length = 20_000, example = "Hei Bjørn! Ja, vi har to på lager.")]
    pub message_content: String,
    /// How.
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
    pub fn from(self, sender: &Caller) -> NewMessage {
        NewMessage {
            lead_id: self.lead_id,
            channel: self.channel,
            direction: Direction::Outbound,
            sender: sender.name.clone(),
            sender_user_id: Some(sender.id),
            sender_clerk_user_id: Some(sender.clerk_user_id.clone()),
            impersonator: sender.impersonator.clone(),
            sender_type: SenderType::Human,
            message_content: self.message_content,
            created_at: None,
        }
    }
}

/// The messages of a lead, newest first; the newest 500, should there be more.
pub async fn of_lead(tx: &mut TenantTx, lead: LeadId) -> Result<Vec<Message>> {
    sqlx::query_as(concat!(
        "-- conversations::of_lead
         SELECT ",
        columns!(),
        " FROM conversations WHERE lead_id = $1 AND dealership_id = $2 ORDER BY created_at DESC, id DESC LIMIT $3"
    ))
    .bind(lead)
    .bind(tx.dealership())
    .bind(LONGEST_LIST)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)
}

/// Writes a message down, or does nothing if the dealership has no such lead. What goes to the customer counts as
/// contact, and the first of it as the first response.
pub async fn create(tx: &mut TenantTx, new: &NewMessage) -> Result<Option<Message>> {
    let dealership = tx.dealership();
    sqlx::query_as(concat!(
        "-- conversations::create
         WITH lead AS (
           UPDATE leads
           SET last_contact_at = CASE WHEN $4 = 'outbound' THEN coalesce($8, now()) ELSE last_contact_at END,
               first_response_time = CASE WHEN $4 = 'outbound'
                 THEN coalesce(first_response_time, coalesce($8, now()) - created_at) ELSE first_response_time END,
               updated_at = now()
           WHERE id = $1 AND dealership_id = $2 RETURNING id)
         INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content,
                                    created_at, sender_user_id, sender_clerk_user_id, impersonator)
         SELECT id, $2, $3, $4, $5, $6, $7, coalesce($8, now()), $9, $10, $11 FROM lead
         RETURNING ",
        columns!()
    ))
    .bind(new.lead_id)
    .bind(dealership)
    .bind(new.channel)
    .bind(new.direction)
    .bind(&new.sender)
    .bind(new.sender_type)
    .bind(&new.message_content)
    .bind(new.created_at)
    .bind(new.sender_user_id)
    .bind(&new.sender_clerk_user_id)
    .bind(&new.impersonator)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)
}
