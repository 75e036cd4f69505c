//! Destroying what a deleted organization has left behind: deliberately, never because of an event.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::mirror::{self, Organization};
use crate::{
    db::{Error, Result, SystemTx},
    ids::{ClerkOrgId, DealershipId},
};

/// A dealership whose Clerk organization was deleted, and what it still holds.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct ClosedDealership {
    /// The tenant.
    pub id: DealershipId,
    /// Its organization.
    pub clerk_org_id: ClerkOrgId,
    /// Its name.
    pub name: String,
    /// Since when nobody has access.
    pub closed_at: DateTime<Utc>,
    /// How many leads it has.
    pub leads: i64,
    /// How many messages.
    pub messages: i64,
    /// How many cars.
    pub vehicles: i64,
    /// How many people are still on its list.
    pub users: i64,
}

/// The dealerships that were closed before this time.
pub async fn closed_dealerships(tx: &mut SystemTx, before: DateTime<Utc>) -> Result<Vec<ClosedDealership>> {
    sqlx::query_as(
        "-- clerk::purge::closed_dealerships
         SELECT id, clerk_org_id, name, closed_at,
                (SELECT count(*) FROM leads WHERE dealership_id = d.id) AS leads,
                (SELECT count(*) FROM conversations WHERE dealership_id = d.id) AS messages,
                (SELECT count(*) FROM vehicles WHERE dealership_id = d.id) AS vehicles,
                (SELECT count(*) FROM users WHERE dealership_id = d.id) AS users
         FROM dealerships d WHERE closed_at < $1 ORDER BY closed_at, id",
    )
    .bind(before)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)
}

/// Destroys a closed dealership with everything in it. Its tombstone stays, so that no late event brings it back.
/// Returns whether there was one: an open dealership is never touched.
pub async fn purge(tx: &mut SystemTx, org: &ClerkOrgId) -> Result<bool> {
    // Locks the organization's record, so that nothing is projected from it meanwhile.
    let purged = Organization { purged: true, ..Organization::default() };
    if !mirror::observe(tx, org, Organization::default()).await?.after.is_closed() {
        return Ok(false);
    }
    mirror::observe(tx, org, purged).await?;
    let deleted = sqlx::query(
        "-- clerk::purge::purge
         DELETE FROM dealerships WHERE clerk_org_id = $1 AND closed_at IS NOT NULL",
    )
    .bind(org)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(deleted.rows_affected() > 0)
}
