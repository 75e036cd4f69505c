//! From the mirror to dealerships and users.
//!
//! A dealership's row follows from its organization's record alone, a user's row from the person's record and their
//! memberships: each is written while the record it follows from is locked, so no two workers can disagree. A deleted
//! organization closes its dealership; access is refused there, whatever its users' rows say.

use std::collections::BTreeMap;

use super::{
    change::{self, Change},
    mirror::{self, Latest, Membership, Observed, Organization, Record, User, observe},
};
use crate::{
    db::{Error, Result, SystemTx},
    ids::{ClerkOrgId, ClerkUserId, DealershipId, UserId},
    users::Role,
};

/// Signs the messages of somebody who was deleted.
const FORGOTTEN: &str = "Slettet bruker";

/// What a change meant to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something new.
    Applied,
    /// Nothing that was not known already, or known better.
    Stale,
    /// It concerns something that is gone for good.
    Tombstoned,
}

impl Outcome {
    /// As kept in the inbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Tombstoned => "tombstoned",
        }
    }

    fn of<R: Record>(observed: &Observed<R>) -> Self {
        match (observed.changed(), observed.before.is_deleted()) {
            (true, _) => Self::Applied,
            (false, true) => Self::Tombstoned,
            (false, false) => Self::Stale,
        }
    }
}

/// Takes note of a change and of all that follows from it, in the caller's transaction.
pub async fn apply(tx: &mut SystemTx, change: Change) -> Result<Outcome> {
    match change {
        Change::Organization { id, version, organization } => {
            let seen = Organization { attributes: Some(Latest::new(version, organization)), ..Organization::default() };
            see_organization(tx, &id, seen).await
        }
        Change::OrganizationDeleted { id } => {
            see_organization(tx, &id, Organization { deleted: true, ..Organization::default() }).await
        }
        Change::Membership { id, version, membership, organization: (org_version, organization), hint } => {
            let seen =
                Organization { attributes: Some(Latest::new(org_version, organization)), ..Organization::default() };
            let org = see_organization(tx, &membership.org, seen).await?;
            let person = User { hint: Some(Latest::new(version, hint)), ..User::default() };
            let person = observe(tx, &membership.user, person).await?;
            let user = membership.user.clone();
            let seen = Membership { attributes: Some(Latest::new(version, membership)), deleted: false };
            let observed = observe(tx, &id, seen).await?;
            if person.changed() || observed.changed() {
                project_user(tx, &user, &person.after).await?;
            }
            let news = org == Outcome::Applied || person.changed();
            Ok(if news { Outcome::Applied } else { Outcome::of(&observed) })
        }
        Change::MembershipDeleted { id, user } => {
            if let Some(user) = &user {
                // Learns nothing, and takes the person's lock before the membership's.
                observe(tx, user, User::default()).await?;
            }
            let observed = observe(tx, &id, Membership { attributes: None, deleted: true }).await?;
            if let Some(user) = user.or_else(|| observed.before.pair().map(|(_, user)| user.clone())) {
                let person = observe(tx, &user, User::default()).await?;
                project_user(tx, &user, &person.after).await?;
            }
            Ok(Outcome::of(&observed))
        }
        Change::User { id, version, profile } => {
            let seen = User { profile: Some(Latest::new(version, profile)), ..User::default() };
            see_user(tx, &id, seen).await
        }
        Change::UserDeleted { id } => {
            let outcome = see_user(tx, &id, User { deleted: true, ..User::default() }).await?;
            forget(tx, &id).await?;
            Ok(outcome)
        }
    }
}

async fn see_organization(tx: &mut SystemTx, id: &ClerkOrgId, seen: Organization) -> Result<Outcome> {
    let observed = observe(tx, id, seen).await?;
    if observed.changed() {
        project_dealership(tx, id, &observed.after).await?;
    }
    Ok(Outcome::of(&observed))
}

async fn see_user(tx: &mut SystemTx, id: &ClerkUserId, seen: User) -> Result<Outcome> {
    let observed = observe(tx, id, seen).await?;
    if observed.changed() {
        project_user(tx, id, &observed.after).await?;
    }
    Ok(Outcome::of(&observed))
}

/// Erases what else holds the name or the address of somebody who was deleted. Their rows in `users` are gone by now:
/// nobody can write under their name any more, and who was about to has been waited for.
async fn forget(tx: &mut SystemTx, user: &ClerkUserId) -> Result<()> {
    sqlx::query(
        "-- clerk::provisioning::forget
         UPDATE conversations SET sender = $2, sender_clerk_user_id = NULL WHERE sender_clerk_user_id = $1",
    )
    .bind(user)
    .bind(FORGOTTEN)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    // Those that wait erase themselves when they are processed.
    sqlx::query("-- clerk::provisioning::forget\nUPDATE clerk_events SET body = NULL WHERE user_id = $1 AND status <> 'pending'")
        .bind(user)
        .execute(tx.conn())
        .await
        .map_err(Error::from)?;
    Ok(())
}

/// Writes the dealership's row. An organization of which only the deletion is known never was a dealership.
async fn project_dealership(tx: &mut SystemTx, id: &ClerkOrgId, record: &Organization) -> Result<()> {
    let Some(Latest { value: change::Organization { name }, .. }) = &record.attributes else { return Ok(()) };
    sqlx::query(
        "-- clerk::provisioning::project_dealership
         INSERT INTO dealerships AS d (id, clerk_org_id, name, email, closed_at)
         VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)
         ON CONFLICT (clerk_org_id) DO UPDATE
           SET name = excluded.name, closed_at = CASE WHEN $5 THEN coalesce(d.closed_at, now()) END, updated_at = now()
           WHERE d.name <> excluded.name OR (d.closed_at IS NOT NULL) <> $5",
    )
    .bind(DealershipId::of(id))
    .bind(id)
    .bind(name.as_deref().unwrap_or(id.as_str()))
    // An organization has no address of its own. RFC 2606 keeps `.invalid` from ever receiving mail.
    .bind(format!("{id}@dealership.invalid"))
    .bind(record.deleted)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}

/// Writes the person's row in each of their dealerships, and removes those that no living membership justifies.
async fn project_user(tx: &mut SystemTx, user: &ClerkUserId, record: &User) -> Result<()> {
    let memberships = if record.deleted { Vec::new() } else { mirror::memberships_of(tx, user).await? };
    // Newest last: of several memberships in one organization, the newest one counts.
    let current: BTreeMap<&ClerkOrgId, &change::Membership> = memberships.iter().map(|m| (&m.org, m)).collect();
    for (org, membership) in &current {
        write_user(tx, org, user, record, Role::from_clerk(&membership.role)).await?;
    }
    let orgs: Vec<&str> = current.keys().map(|org| org.as_str()).collect();
    sqlx::query(
        "-- clerk::provisioning::project_user
         DELETE FROM users u USING dealerships d
         WHERE d.id = u.dealership_id AND u.clerk_user_id = $1 AND d.clerk_org_id <> ALL ($2)",
    )
    .bind(user)
    .bind(orgs)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}

async fn write_user(tx: &mut SystemTx, org: &ClerkOrgId, user: &ClerkUserId, record: &User, role: Role) -> Result<()> {
    let profile = record.profile.as_ref().map(|latest| &latest.value);
    let hint = record.hint.as_ref().map(|latest| &latest.value);
    let email = profile.and_then(|p| p.email.clone()).or_else(|| hint.and_then(|h| h.email.clone()));
    let name = profile.and_then(|p| p.name.clone()).or_else(|| hint.and_then(|h| h.name.clone()));
    let email = email.unwrap_or_else(|| format!("{user}@user.invalid"));
    sqlx::query(
        "-- clerk::provisioning::write_user
         INSERT INTO users AS u (id, dealership_id, clerk_user_id, email, name, role, suspended)
         SELECT $1, d.id, $3, $4, $5, $6, $7 FROM dealerships d WHERE d.clerk_org_id = $2
         ON CONFLICT (dealership_id, clerk_user_id) DO UPDATE
           SET email = excluded.email, name = excluded.name, role = excluded.role, suspended = excluded.suspended
           WHERE (u.email, u.name, u.role, u.suspended)
                 IS DISTINCT FROM (excluded.email, excluded.name, excluded.role, excluded.suspended)",
    )
    .bind(UserId::of(DealershipId::of(org), user))
    .bind(org)
    .bind(user)
    .bind(&email)
    .bind(name.as_deref().unwrap_or(&email))
    .bind(role)
    .bind(profile.is_some_and(|p| p.banned))
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}
