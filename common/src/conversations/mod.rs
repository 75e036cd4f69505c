//! Messages between a dealership and its customers.

mod list;
mod write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, Row, postgres::PgRow};
use utoipa::ToSchema;

pub use list::{find, of_lead};
pub(crate) use write::create_unsent;
pub use write::{WriteError, create};

use crate::{
    db::Caller,
    ids::{ClerkUserId, DealershipId, LeadId, MessageId, UserId},
    input::{Fields, FromFields, text, uuid},
    leads::MESSAGE_LIMIT,
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

text_enum!(
    /// What became of a message that goes out.
    #[derive(Hash, PartialOrd, Ord)]
    DeliveryStatus {
        /// It waits for its turn.
        Queued = "queued",
        /// The provider is being asked.
        Sending = "sending",
        /// The provider may have taken it. A report tells, or a person sends it again.
        Unknown = "unknown",
        /// The provider has taken it.
        Sent = "sent",
        /// It was not taken, and will not be.
        Failed = "failed",
        /// It has reached the customer.
        Delivered = "delivered",
        /// It came back.
        Bounced = "bounced",
    }
);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Delivery {
    /// How far it has come.
    pub status: DeliveryStatus,
    /// Since when it is that far.
    pub at: DateTime<Utc>,
    /// Why it is not further.
    #[schema(example = "the mailbox does not exist")]
    pub reason: Option<String>,
}

/// One message.
#[derive(Debug, Clone, Serialize, ToSchema)]
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
    /// What became of it on its way to the customer; null where nothing is sent.
    pub delivery: Option<Delivery>,
}

impl FromRow<'_, PgRow> for Message {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let status: Option<DeliveryStatus> = row.try_get("delivery_status")?;
        let delivery = match status {
            Some(status) => {
                Some(Delivery { status, at: row.try_get("delivery_at")?, reason: row.try_get("delivery_reason")? })
            }
            None => None,
        };
        Ok(Self {
            id: row.try_get("id")?,
            lead_id: row.try_get("lead_id")?,
            dealership_id: row.try_get("dealership_id")?,
            channel: row.try_get("channel")?,
            direction: row.try_get("direction")?,
            sender: row.try_get("sender")?,
            sender_user_id: row.try_get("sender_user_id")?,
            impersonator: row.try_get("impersonator")?,
            sender_type: row.try_get("sender_type")?,
            message_content: row.try_get("message_content")?,
            message_metadata: row.try_get("message_metadata")?,
            created_at: row.try_get("created_at")?,
            delivery,
        })
    }
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

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, lead_id, dealership_id, channel, direction, sender, sender_user_id, impersonator, sender_type, message_content, \
         message_metadata, created_at"
    };
}
use columns;
