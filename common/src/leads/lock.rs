use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::LeadStatus;
use crate::{
    db::{Result, TenantTx},
    ids::{CustomerId, LeadId, UserId},
};

/// A lead that nobody else can change before the transaction ends. Whatever changes a lead or is recorded of it comes
/// from here, so that times are in the order in which the changes took effect.
#[derive(Debug, FromRow)]
pub struct LockedLead {
    pub(super) status: LeadStatus,
    pub(super) assigned_to: Option<UserId>,
    pub(super) has_email: bool,
    pub(super) has_phone: bool,
    pub(super) customer: Option<CustomerId>,
    /// The time of the change: later than all that is recorded of the lead so far, even if the clock was put back.
    pub(crate) now: DateTime<Utc>,
}

/// Locks a lead, unless the dealership has none such.
pub(crate) async fn lock(tx: &mut TenantTx, id: LeadId) -> Result<Option<LockedLead>> {
    // The clock is read outside the subquery, which means: after the lock was granted.
    Ok(sqlx::query_as(
        "-- leads::lock
         WITH lead AS MATERIALIZED (
           SELECT status, assigned_to, customer_email, customer_phone, customer_id, updated_at
           FROM leads WHERE id = $1 AND dealership_id = $2 FOR NO KEY UPDATE)
         SELECT status, assigned_to, customer_email IS NOT NULL AS has_email, customer_phone IS NOT NULL AS has_phone,
                customer_id AS customer,
                greatest(clock_timestamp(), updated_at + interval '1 microsecond') AS now
         FROM lead",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

impl LockedLead {
    /// Whether the customer can be written to by e-mail.
    pub(crate) fn has_email(&self) -> bool {
        self.has_email
    }
}
