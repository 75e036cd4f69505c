//! Messages between a dealership and its customers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    db::{Error, Result, TenantTx},
    ids::{DealershipId, LeadId, MessageId},
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
    /// What kind of sender that is.
    pub sender_type: SenderType,
    /// What it says.
    pub message_content: String,
    /// When it was written, if that was not now.
    pub created_at: Option<DateTime<Utc>>,
}

/// The messages of a lead, newest first.
pub async fn of_lead(tx: &mut TenantTx, lead: LeadId) -> Result<Vec<Message>> {
    sqlx::query_as(
        "-- conversations::of_lead
         SELECT * FROM conversations WHERE lead_id = $1 AND dealership_id = $2 ORDER BY created_at DESC, id DESC",
    )
    .bind(lead)
    .bind(tx.dealership())
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)
}

/// Writes a message down, or does nothing if the dealership has no such lead. What goes to the customer counts as
/// contact, and the first of it as the first response.
pub async fn create(tx: &mut TenantTx, new: &NewMessage) -> Result<Option<Message>> {
    let dealership = tx.dealership();
    sqlx::query_as(
        "-- conversations::create
         WITH lead AS (
           UPDATE leads
           SET last_contact_at = CASE WHEN $4 = 'outbound' THEN coalesce($8, now()) ELSE last_contact_at END,
               first_response_time = CASE WHEN $4 = 'outbound'
                 THEN coalesce(first_response_time, coalesce($8, now()) - created_at) ELSE first_response_time END,
               updated_at = now()
           WHERE id = $1 AND dealership_id = $2 RETURNING id)
         INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content, created_at)
         SELECT id, $2, $3, $4, $5, $6, $7, coalesce($8, now()) FROM lead
         RETURNING *",
    )
    .bind(new.lead_id)
    .bind(dealership)
    .bind(new.channel)
    .bind(new.direction)
    .bind(&new.sender)
    .bind(new.sender_type)
    .bind(&new.message_content)
    .bind(new.created_at)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)
}
