use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use utoipa::ToSchema;

use super::{Lead, LeadStatus, find};
use crate::{
    db::{Caller, Error, Result, TenantTx},
    ids::{LeadId, UserId},
    input::{Email, Fields, FromFields, Patch, Phone, integer, json_object, parsed, text, uuid},
    page::LONGEST_LIST,
    update::Update,
};

use super::create::{MESSAGE_LIMIT, METADATA_LIMIT, SCORES, score};

/// What changes about a lead; only given fields change, null clears what may be empty.
#[derive(Debug, Clone, ToSchema)]
pub struct LeadPatch {
    /// How far it has come. Reaching `won` sets `converted_at`, leaving it clears that; each change is recorded.
    #[schema(value_type = LeadStatus, required = false)]
    pub status: Option<LeadStatus>,
    /// Who takes care of it: the id of a member of the dealership; null or blank for nobody.
    #[schema(value_type = Option<String>, example = "018f3a2c-9f6e-7c31-8a44-2f1c7f0f9a11")]
    pub assigned_to: Patch<UserId>,
    /// The page it came from.
    #[schema(value_type = Option<String>, max_length = 2000)]
    pub source_url: Patch<String>,
    /// What else the source told.
    #[schema(value_type = Object, required = false)]
    pub source_metadata: Option<Value>,
    /// The customer's name.
    #[schema(value_type = Option<String>, max_length = 200, example = "Bjørn Håkonsen")]
    pub customer_name: Patch<String>,
    /// The customer's e-mail address.
    #[schema(value_type = Option<String>, max_length = 254, example = "bjorn.hakonsen@example.no")]
    pub customer_email: Patch<Email>,
    /// The customer's phone number.
    #[schema(value_type = Option<String>, max_length = 40, example = "+47 912 34 567")]
    pub customer_phone: Patch<Phone>,
    /// What they are interested in.
    #[schema(value_type = Option<String>, max_length = 500, example = "Tesla Model Y Long Range")]
    pub vehicle_interest: Patch<String>,
    /// What they wrote first.
    #[schema(value_type = Option<String>, max_length = 20_000)]
    pub initial_message: Patch<String>,
    /// How promising it is.
    #[schema(value_type = i16, required = false, minimum = 1, maximum = 100)]
    pub lead_score: Option<i16>,
}

impl FromFields for LeadPatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            status: fields.change("status", LeadStatus::parse),
            assigned_to: fields.patch("assigned_to", uuid("a user")),
            source_url: fields.patch("source_url", text(2000)),
            source_metadata: fields.change("source_metadata", json_object(METADATA_LIMIT)),
            customer_name: fields.patch("customer_name", text(200)),
            customer_email: fields.patch("customer_email", parsed),
            customer_phone: fields.patch("customer_phone", parsed),
            vehicle_interest: fields.patch("vehicle_interest", text(500)),
            initial_message: fields.patch("initial_message", text(MESSAGE_LIMIT)),
            lead_score: fields.change("lead_score", integer(SCORES)).map(score),
        })
    }
}

/// Changes a lead, unless the dealership has none such, and records by whom, should its status change. An assignee
/// who is no member of the dealership violates [`super::ASSIGNEE`].
pub async fn update(tx: &mut TenantTx, id: LeadId, patch: &LeadPatch, by: &Caller) -> Result<Option<Lead>> {
    let before: Option<LeadStatus> = sqlx::query_scalar(
        "-- leads::update\nSELECT status FROM leads WHERE id = $1 AND dealership_id = $2 FOR UPDATE",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    let Some(before) = before else { return Ok(None) };

    let mut update = Update::of("-- leads::update\nUPDATE leads SET updated_at = now()");
    update.patch("assigned_to", patch.assigned_to.as_ref());
    update.patch("source_url", patch.source_url.as_ref());
    update.change("source_metadata", patch.source_metadata.as_ref());
    update.patch("customer_name", patch.customer_name.as_ref());
    update.patch("customer_email", patch.customer_email.as_ref().map(Email::as_str));
    update.patch("customer_phone", patch.customer_phone.as_ref().map(|phone| phone.typed.as_str()));
    update.patch("customer_phone_e164", patch.customer_phone.as_ref().map(|phone| phone.e164.as_str()));
    update.patch("vehicle_interest", patch.vehicle_interest.as_ref());
    update.patch("initial_message", patch.initial_message.as_ref());
    update.change("lead_score", patch.lead_score);
    let after = patch.status.filter(|after| *after != before);
    update.change("status", after);
    let mut query = update.finish();
    match (before, after) {
        (_, Some(LeadStatus::Won)) => _ = query.push(", converted_at = now()"),
        (LeadStatus::Won, Some(_)) => _ = query.push(", converted_at = NULL"),
        _ => {}
    }
    query.push(" WHERE id = ").push_bind(id).push(" AND dealership_id = ").push_bind(tx.dealership());
    query.build().execute(tx.conn()).await.map_err(Error::from)?;
    if let Some(after) = after {
        record(tx, id, before, after, by).await?;
    }
    find(tx, id).await
}

async fn record(tx: &mut TenantTx, id: LeadId, from: LeadStatus, to: LeadStatus, by: &Caller) -> Result<()> {
    sqlx::query(
        "-- leads::record
         INSERT INTO lead_status_changes (lead_id, dealership_id, from_status, to_status, changed_by, impersonator)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(from)
    .bind(to)
    .bind(by.id)
    .bind(&by.impersonator)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}

/// One step of a lead.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatusChange {
    /// What it was.
    pub from_status: LeadStatus,
    /// What it became.
    pub to_status: LeadStatus,
    /// Who did it; null once that person has left.
    pub changed_by: Option<ChangedBy>,
    /// Clerk user who acted as that person, if somebody did.
    pub impersonator: Option<String>,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// A person in a record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangedBy {
    /// The membership.
    pub id: UserId,
    /// The person's name.
    #[schema(example = "Kari Nordmann")]
    pub name: String,
}

impl FromRow<'_, PgRow> for StatusChange {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let name: Option<String> = row.try_get("name")?;
        let id: Option<UserId> = row.try_get("changed_by")?;
        Ok(Self {
            from_status: row.try_get("from_status")?,
            to_status: row.try_get("to_status")?,
            changed_by: id.zip(name).map(|(id, name)| ChangedBy { id, name }),
            impersonator: row.try_get("impersonator")?,
            changed_at: row.try_get("changed_at")?,
        })
    }
}

/// The steps of a lead, newest first; the newest 500, should there be more.
pub async fn history(tx: &mut TenantTx, id: LeadId) -> Result<Vec<StatusChange>> {
    sqlx::query_as(
        "-- leads::history
         SELECT c.from_status, c.to_status, c.changed_by, c.impersonator, c.changed_at, u.name
         FROM lead_status_changes c LEFT JOIN users u ON u.id = c.changed_by
         WHERE c.lead_id = $1 AND c.dealership_id = $2 ORDER BY c.changed_at DESC, c.id DESC LIMIT $3",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(LONGEST_LIST)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)
}

/// Removes a lead with its messages and its history, and says whether there was one.
pub async fn delete(tx: &mut TenantTx, id: LeadId) -> Result<bool> {
    tx.delete("-- leads::delete\nDELETE FROM leads WHERE id = $1 AND dealership_id = $2", id).await
}
