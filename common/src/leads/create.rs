use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Lead, LeadSource, LeadStatus, WriteError, page::details};
use crate::{
    customers::{Contact, recognising},
    db::TenantTx,
    ids::{CustomerId, LeadId, UserId},
    input::{Email, Fields, FromFields, JsonText, Phone, integer, json_object, link, parsed, text, uuid},
    users,
};

/// Characters that a message may have.
pub(crate) const MESSAGE_LIMIT: usize = 20_000;
/// Bytes of JSON that the metadata of a source may have.
pub(super) const METADATA_LIMIT: usize = 20_000;
pub(super) const SCORES: RangeInclusive<i64> = 1..=100;

/// A lead to be written down: an e-mail address or a phone number, and whatever else is known.
#[derive(Debug, Clone, ToSchema)]
pub struct NewLead {
    /// Its id, if one is given. Not for requests.
    #[schema(ignore)]
    pub id: Option<LeadId>,
    /// Where it came from; `manual` by default.
    #[schema(value_type = Option<LeadSource>)]
    pub source: LeadSource,
    /// The page it came from.
    #[schema(max_length = 2000)]
    pub source_url: Option<String>,
    /// What else the source told.
    #[schema(value_type = Option<Object>)]
    pub source_metadata: JsonText,
    /// How far it has come; `new` by default.
    #[schema(value_type = Option<LeadStatus>)]
    pub status: LeadStatus,
    /// Who takes care of it: the id of a member of the dealership; null or blank for nobody.
    #[schema(value_type = Option<String>, example = "018f3a2c-9f6e-7c31-8a44-2f1c7f0f9a11")]
    pub assigned_to: Option<UserId>,
    /// The customer's name.
    #[schema(max_length = 200, example = "Bjørn Håkonsen")]
    pub customer_name: Option<String>,
    /// The customer's e-mail address.
    #[schema(value_type = Option<String>, max_length = 254, example = "bjorn.hakonsen@example.no")]
    pub customer_email: Option<Email>,
    /// The customer's phone number; without a country code it is Norwegian.
    #[schema(value_type = Option<String>, max_length = 40, example = "+47 912 34 567")]
    pub customer_phone: Option<Phone>,
    /// What they are interested in.
    #[schema(max_length = 500, example = "Tesla Model Y Long Range")]
    pub vehicle_interest: Option<String>,
    /// What they wrote first.
    #[schema(max_length = 20_000, example = "Hei! Har dere denne på lager?")]
    pub initial_message: Option<String>,
    /// How promising it is; 50 by default.
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 100)]
    pub lead_score: i16,
    /// When it came in, if that was not now. Not for requests.
    #[schema(ignore)]
    pub created_at: Option<DateTime<Utc>>,
}

impl FromFields for NewLead {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let customer_email = fields.optional("customer_email", parsed);
        let customer_phone = fields.optional("customer_phone", parsed);
        if customer_email.is_none() && customer_phone.is_none() && !fields.has_problems() {
            fields.report("customer_email", "is required, unless customer_phone is given");
        }
        Some(Self {
            id: None,
            customer_email,
            customer_phone,
            source: fields.optional("source", LeadSource::parse).unwrap_or(LeadSource::Manual),
            source_url: fields.optional("source_url", link(2000)),
            source_metadata: fields
                .optional_json("source_metadata", json_object(METADATA_LIMIT))
                .unwrap_or_else(|| json!({}).into()),
            status: fields.optional("status", LeadStatus::parse).unwrap_or(LeadStatus::New),
            assigned_to: fields.optional("assigned_to", uuid("a user")),
            customer_name: fields.optional("customer_name", text(200)),
            vehicle_interest: fields.optional("vehicle_interest", text(500)),
            initial_message: fields.optional("initial_message", text(MESSAGE_LIMIT)),
            lead_score: fields.optional("lead_score", integer(SCORES)).map_or(50, score),
            created_at: None,
        })
    }
}

pub(super) fn score(score: i64) -> i16 {
    i16::try_from(score).expect("within SCORES")
}

/// Writes a lead down for the dealership.
pub async fn create(tx: &mut TenantTx, new: &NewLead) -> Result<Lead, WriteError> {
    if let Some(assignee) = new.assigned_to {
        check_assignee(tx, assignee).await?;
    }
    let contact = Contact {
        name: new.customer_name.as_deref(),
        email: new.customer_email.as_ref(),
        phone: new.customer_phone.as_ref(),
    };
    let (kinds, values) = contact.identities();
    let lead = sqlx::query_as(concat!(
        "-- leads::create
         WITH ",
        recognising!("$1", "$16", "$17", "$18", "$7"),
        ",
         l AS (
           INSERT INTO leads (id, dealership_id, source, source_url, source_metadata, status, assigned_to, customer_name,
                              customer_email, customer_phone, customer_phone_e164, vehicle_interest, initial_message,
                              lead_score, created_at, updated_at, converted_at, customer_id)
           VALUES (coalesce($15, gen_random_uuid()), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, coalesce($14, now()), now(),
                   CASE WHEN $5 = 'won' THEN coalesce($14, now()) END,
                   (SELECT customer_id FROM recognised))
           RETURNING *)",
        details!("$1")
    ))
    .bind(tx.dealership())
    .bind(new.source)
    .bind(&new.source_url)
    .bind(&new.source_metadata)
    .bind(new.status)
    .bind(new.assigned_to)
    .bind(&new.customer_name)
    .bind(new.customer_email.as_ref().map(Email::as_str))
    .bind(new.customer_phone.as_ref().map(|phone| phone.typed.as_str()))
    .bind(new.customer_phone.as_ref().map(|phone| phone.e164.as_str()))
    .bind(&new.vehicle_interest)
    .bind(&new.initial_message)
    .bind(new.lead_score)
    .bind(new.created_at)
    .bind(new.id)
    .bind(kinds)
    .bind(values)
    .bind(CustomerId::from(Uuid::new_v4()))
    .fetch_one(tx.conn())
    .await?;
    Ok(lead)
}

/// Whether a lead can be given to this user. Should they leave before the lead is written, the database refuses it.
pub(super) async fn check_assignee(tx: &mut TenantTx, assignee: UserId) -> Result<(), WriteError> {
    match users::is_suspended(tx, assignee).await? {
        Some(false) => Ok(()),
        Some(true) => Err(WriteError::AssigneeSuspended),
        None => Err(WriteError::AssigneeNotAMember),
    }
}
