use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Lead, LeadSource, LeadStatus, find};
use crate::{
    db::{Error, Result, TenantTx},
    ids::{LeadId, UserId},
};

/// A lead to be written down.
#[derive(Debug, Clone)]
pub struct NewLead {
    /// Where it came from.
    pub source: LeadSource,
    /// The page it came from.
    pub source_url: Option<String>,
    /// What else the source told; an object.
    pub source_metadata: Value,
    /// How far it has come.
    pub status: LeadStatus,
    /// Who takes care of it.
    pub assigned_to: Option<UserId>,
    /// The customer's name.
    pub customer_name: Option<String>,
    /// The customer's e-mail address.
    pub customer_email: Option<String>,
    /// The customer's phone number, as typed.
    pub customer_phone: Option<String>,
    /// What they are interested in.
    pub vehicle_interest: Option<String>,
    /// What they wrote first.
    pub initial_message: Option<String>,
    /// How promising it is, from 1 to 100.
    pub lead_score: i16,
    /// When it came in, if that was not now.
    pub created_at: Option<DateTime<Utc>>,
}

/// Writes a lead down for the dealership.
pub async fn create(tx: &mut TenantTx, new: &NewLead) -> Result<Lead> {
    let dealership = tx.dealership();
    let id: LeadId = sqlx::query_scalar(
        "-- leads::create
         INSERT INTO leads (dealership_id, source, source_url, source_metadata, status, assigned_to, customer_name,
                            customer_email, customer_phone, vehicle_interest, initial_message, lead_score, created_at,
                            updated_at, converted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($13, now()), coalesce($13, now()),
                 CASE WHEN $5 = 'won' THEN coalesce($13, now()) END)
         RETURNING id",
    )
    .bind(dealership)
    .bind(new.source)
    .bind(&new.source_url)
    .bind(&new.source_metadata)
    .bind(new.status)
    .bind(new.assigned_to)
    .bind(&new.customer_name)
    .bind(&new.customer_email)
    .bind(&new.customer_phone)
    .bind(&new.vehicle_interest)
    .bind(&new.initial_message)
    .bind(new.lead_score)
    .bind(new.created_at)
    .fetch_one(tx.conn())
    .await
    .map_err(Error::from)?;
    find(tx, id).await?.ok_or(Error::Refused(sqlx::Error::RowNotFound))
}
