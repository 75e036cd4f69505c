//! What is known from Clerk of a dealership that comes from another server, or leaves for one. Both may go on hearing from Clerk, so
//! what comes is merged with what is known, as any event is.

use serde::de::DeserializeOwned;

use super::{
    mirror::{Membership, Organization, Record, User, observe},
    projection::{forget, project_dealership, project_user},
};
use crate::{
    db::{Result, SystemTx},
    ids::{ClerkOrgId, ClerkUserId, DealershipId},
};

/// What is known of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOrganization {
    /// Whether nobody is to have access.
    pub is_closed: bool,
    /// Whether its dealership was destroyed after it was deleted in Clerk.
    pub is_purged: bool,
}

/// A record of the mirror, as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredObject<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    /// JSON.
    pub state: &'a str,
    /// Where and whose, for memberships, also for those that ended.
    pub pair: Option<(&'a ClerkOrgId, &'a str)>,
    /// When it changed last, as text.
    pub updated_at: &'a str,
}

/// Locks what is known of an organization: nothing is projected from it before the transaction ends.
pub async fn lock_organization(tx: &mut SystemTx, org: &ClerkOrgId) -> Result<KnownOrganization> {
    let known = observe(tx, org, Organization::default()).await?.after;
    Ok(KnownOrganization { is_closed: known.is_closed(), is_purged: known.purged })
}

/// Merges what another server knows into what is known here. Says whether it could be read. Organizations come before people,
/// and people before memberships.
pub async fn merge_object(tx: &mut SystemTx, object: StoredObject<'_>) -> Result<bool> {
    match object.kind {
        Organization::KIND => merge::<Organization>(tx, object).await,
        User::KIND => merge::<User>(tx, object).await,
        Membership::KIND => merge::<Membership>(tx, object).await,
        _ => Ok(false),
    }
}

async fn merge<R>(tx: &mut SystemTx, object: StoredObject<'_>) -> Result<bool>
where
    R: Record,
    R::Id: std::str::FromStr,
{
    let (Ok(id), Some(state)) = (object.id.parse::<R::Id>(), read::<R>(object.state)) else { return Ok(false) };
    let is_same = observe(tx, &id, state.clone()).await?.after == state;
    sqlx::query(
        "-- clerk::moved::merge
         UPDATE clerk_objects SET updated_at = CASE WHEN $4 THEN $3::timestamptz ELSE updated_at END,
                                  org_id = coalesce(org_id, $5), user_id = coalesce(user_id, $6)
         WHERE kind = $1 AND id = $2",
    )
    .bind(R::KIND)
    .bind(object.id)
    .bind(object.updated_at)
    .bind(is_same)
    .bind(object.pair.map(|(org, _)| org))
    .bind(object.pair.map(|(_, user)| user))
    .execute(tx.conn())
    .await?;
    Ok(true)
}

fn read<R: DeserializeOwned>(state: &str) -> Option<R> {
    serde_json::from_str(state).ok()
}

/// Applies to a dealership that was on its way what Clerk has said of it and of its people meanwhile.
pub async fn settle(tx: &mut SystemTx, org: &ClerkOrgId) -> Result<()> {
    let record = observe(tx, org, Organization::default()).await?.after;
    project_dealership(tx, org, &record).await?;
    let users: Vec<ClerkUserId> = sqlx::query_scalar(
        "-- clerk::moved::settle
         SELECT clerk_user_id FROM users WHERE dealership_id = $1
         UNION SELECT user_id FROM clerk_objects WHERE kind = 'membership' AND org_id = $2 AND user_id IS NOT NULL ORDER BY 1",
    )
    .bind(DealershipId::of(org))
    .bind(org)
    .fetch_all(tx.conn())
    .await?;
    for user in users {
        let record = observe(tx, &user, User::default()).await?.after;
        project_user(tx, &user, &record).await?;
        if record.deleted {
            forget(tx, &user).await?;
        }
    }
    Ok(())
}
