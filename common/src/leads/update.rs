use chrono::{DateTime, Utc};
use utoipa::ToSchema;

use super::{
    Lead, LeadStatus, WriteError,
    adopt::adopt,
    create::check_assignee,
    find,
    lock::{LockedLead, lock},
};
use crate::{
    db::{Caller, Result, TenantTx},
    deliveries::erase_own,
    idempotency,
    ids::{CustomerId, LeadId, UserId},
    input::{Email, Fields, FromFields, JsonText, Patch, Phone, integer, json_object, link, parsed, text, uuid},
    notifications::{self, Event},
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
    pub source_metadata: Option<JsonText>,
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
            source_url: fields.patch("source_url", link(2000)),
            source_metadata: fields.change_json("source_metadata", json_object(METADATA_LIMIT)),
            customer_name: fields.patch("customer_name", text(200)),
            customer_email: fields.patch("customer_email", parsed),
            customer_phone: fields.patch("customer_phone", parsed),
            vehicle_interest: fields.patch("vehicle_interest", text(500)),
            initial_message: fields.patch("initial_message", text(MESSAGE_LIMIT)),
            lead_score: fields.change("lead_score", integer(SCORES)).map(score),
        })
    }
}

/// Changes a lead, unless the dealership has none such, and records by whom, should its status change.
pub async fn update(tx: &mut TenantTx, id: LeadId, patch: &LeadPatch, by: &Caller) -> Result<Option<Lead>, WriteError> {
    let Some(before) = lock(tx, id).await? else { return Ok(None) };
    if leaves_no_contact(&before, patch) {
        return Err(WriteError::NoContact);
    }
    // Whole leads are sent back: whoever has been suspended since may keep what they have.
    if let Patch::Set(assignee) = patch.assigned_to
        && before.assigned_to != Some(assignee)
    {
        check_assignee(tx, assignee).await?;
    }

    let mut update = Update::at("-- leads::update\nUPDATE leads", before.now);
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
    let status = patch.status.filter(|status| *status != before.status);
    update.change("status", status);
    match (before.status, status) {
        (_, Some(LeadStatus::Won)) => update.change("converted_at", Some(before.now)),
        (LeadStatus::Won, Some(_)) => update.patch("converted_at", Patch::<DateTime<Utc>>::Clear),
        _ => {}
    }
    let mut query = update.finish();
    query.push(" WHERE id = ").push_bind(id).push(" AND dealership_id = ").push_bind(tx.dealership());
    query.build().execute(tx.conn()).await?;
    if let Some(status) = status {
        record(tx, id, &before, status, by).await?;
    }
    let tells_more = patch.customer_email.sets() == Some(true) || patch.customer_phone.sets() == Some(true);
    if tells_more || before.customer.is_none() {
        adopt(tx, id).await?;
    }
    if let Patch::Set(assignee) = patch.assigned_to
        && before.assigned_to != Some(assignee)
        && assignee != by.id
    {
        notifications::tell(tx, Event::Assigned, Some(id)).await?;
    }
    Ok(find(tx, id).await?)
}

/// Whether a lead by which the customer can be reached would become one by which they cannot.
fn leaves_no_contact(before: &LockedLead, patch: &LeadPatch) -> bool {
    let email = patch.customer_email.sets().unwrap_or(before.has_email);
    let phone = patch.customer_phone.sets().unwrap_or(before.has_phone);
    (before.has_email || before.has_phone) && !email && !phone
}

async fn record(
    tx: &mut TenantTx,
    id: LeadId,
    before: &LockedLead,
    status: LeadStatus,
    by: &Caller,
) -> Result<(), WriteError> {
    sqlx::query(
        "-- leads::record
         INSERT INTO lead_status_changes (lead_id, dealership_id, from_status, to_status, changed_by, impersonator, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(before.status)
    .bind(status)
    .bind(by.id)
    .bind(&by.impersonator)
    .bind(before.now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes a lead with its messages and its history, and says whether there was one.
pub async fn delete(tx: &mut TenantTx, id: LeadId) -> Result<bool> {
    // The trigger that keeps the dealership's total locks this row as well, and whoever destroys the dealership locks it
    // before any of the leads: in one order, nobody waits for each other.
    sqlx::query("-- leads::delete\nSELECT FROM dealerships WHERE id = $1 FOR NO KEY UPDATE")
        .bind(tx.dealership())
        .execute(tx.conn())
        .await?;
    let customer: Option<Option<CustomerId>> = sqlx::query_scalar(
        "-- leads::delete\nDELETE FROM leads WHERE id = $1 AND dealership_id = $2 RETURNING customer_id",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?;
    if let Some(customer) = customer {
        forget(tx, id, customer).await?;
        idempotency::forget_answers(tx).await?;
    }
    Ok(customer.is_some())
}

/// Erases what else holds something of the customer of a lead that is gone: what came in for it, and the customer, unless
/// they have other leads.
async fn forget(tx: &mut TenantTx, id: LeadId, customer: Option<CustomerId>) -> Result<()> {
    let deliveries: Vec<i64> = sqlx::query_scalar(
        "-- leads::forget
         UPDATE inquiries SET fingerprint = NULL WHERE lead_id = $1 AND dealership_id = $2 RETURNING delivery_id",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_all(tx.conn())
    .await?;
    if !deliveries.is_empty() {
        erase_own(tx, &deliveries).await?;
    }
    let Some(customer) = customer else { return Ok(()) };
    tx.delete(
        "-- leads::forget
         DELETE FROM customers WHERE dealership_id = $2 AND id IN (
           SELECT c.id FROM customers c
           WHERE c.id = $1 AND c.dealership_id = $2
             AND NOT EXISTS (SELECT FROM leads l WHERE l.customer_id = c.id AND l.dealership_id = $2)
             AND NOT EXISTS (SELECT FROM customers m WHERE m.merged_into = c.id AND m.dealership_id = $2)
           -- Whoever holds it is about to give it another lead.
           FOR UPDATE SKIP LOCKED)",
        customer,
    )
    .await?;
    Ok(())
}
