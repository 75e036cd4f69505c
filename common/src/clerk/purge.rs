//! Destroying what a deleted organization has left behind: deliberately, never because of an event.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::mirror::{self, Organization};
use crate::{
    db::{Result, SystemTx},
    deliveries,
    ids::{ClerkOrgId, DealershipId},
};

/// A dealership whose Clerk organization was deleted, and what it still holds.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct ClosedDealership {
    pub id: DealershipId,
    pub clerk_org_id: ClerkOrgId,
    pub name: String,
    /// Since when nobody has access.
    pub closed_at: DateTime<Utc>,
    /// How many leads it has.
    pub leads: i64,
    pub messages: i64,
    pub vehicles: i64,
    /// How many people are still on its list.
    pub users: i64,
}

/// The dealerships that were closed before this time.
pub async fn closed_dealerships(tx: &mut SystemTx, before: DateTime<Utc>) -> Result<Vec<ClosedDealership>> {
    Ok(sqlx::query_as(
        "-- clerk::purge::closed_dealerships
         SELECT id, clerk_org_id, name, closed_at,
                (SELECT count(*) FROM leads WHERE dealership_id = d.id) AS leads,
                (SELECT count(*) FROM conversations WHERE dealership_id = d.id) AS messages,
                (SELECT count(*) FROM vehicles WHERE dealership_id = d.id) AS vehicles,
                (SELECT count(*) FROM users WHERE dealership_id = d.id) AS users
         FROM dealerships d
         WHERE closed_at < $1 AND NOT EXISTS (SELECT FROM dealership_moves WHERE dealership_id = d.id)
         ORDER BY closed_at, id",
    )
    .bind(before)
    .fetch_all(tx.conn())
    .await?)
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
    let id = DealershipId::of(org);
    let purged = destroy(tx, id).await?;
    deliveries::erase_of_dealership(tx, id).await?;
    Ok(purged)
}

/// Destroys the rows of a closed dealership. Returns whether there was one.
pub(crate) async fn destroy(tx: &mut SystemTx, id: DealershipId) -> Result<bool> {
    // The dealership is locked before its leads, as by all who remove leads; and leads go before the people they name.
    for statement in [
        "-- clerk::purge::destroy\nSELECT FROM dealerships WHERE id = $1 FOR UPDATE",
        "-- clerk::purge::destroy
         DELETE FROM leads WHERE dealership_id = (SELECT id FROM dealerships WHERE id = $1 AND closed_at IS NOT NULL)",
        "-- clerk::purge::destroy
         DELETE FROM source_keys WHERE dealership_id = (SELECT id FROM dealerships WHERE id = $1 AND closed_at IS NOT NULL)",
    ] {
        sqlx::query(statement).bind(id).execute(tx.conn()).await?;
    }
    let deleted = sqlx::query(
        "-- clerk::purge::destroy
         DELETE FROM dealerships WHERE id = $1 AND closed_at IS NOT NULL",
    )
    .bind(id)
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected() > 0)
}
