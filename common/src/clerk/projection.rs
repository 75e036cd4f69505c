//! From the mirror to dealerships and users.
//!
//! A dealership's row follows from its organization's record alone, a user's row from the person's record and their
//! memberships: each is written while the record it follows from is locked, so no two workers can disagree. A deleted
//! organization closes its dealership; access is refused there, whatever its users' rows say.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{
    change,
    effect::{DealershipEffect, Effect, MemberEffect},
    mirror::{self, Latest, Organization, User},
};
use crate::{
    db::{Result, SystemTx},
    deliveries::{self, Source},
    ids::{ClerkOrgId, ClerkUserId, DealershipId, UserId},
    lead_sources,
    role::Role,
};

/// Signs the messages of somebody who was deleted.
const FORGOTTEN: &str = "Slettet bruker";

/// Writes the dealership's row. An organization of which only the deletion is known never was a dealership.
pub(super) async fn project_dealership(
    tx: &mut SystemTx,
    id: &ClerkOrgId,
    record: &Organization,
) -> Result<Option<Effect>> {
    let Some(Latest { value: change::Organization { name }, .. }) = &record.attributes else { return Ok(None) };
    // On its way to another server, it stays as it is; handed over, it does not come back.
    let moves = is_moving(tx, DealershipId::of(id)).await?;
    let closed = record.is_closed() || moves;
    let name = name.as_deref().unwrap_or(id.as_str());
    let Some(Dealership { name: old_name, closed: was_closed, now }) = lock(tx, DealershipId::of(id)).await? else {
        if moves {
            return Ok(None);
        }
        insert_dealership(tx, id, name, closed).await?;
        let effect = if closed { DealershipEffect::Closed } else { DealershipEffect::Opened };
        return Ok(Some(Effect::Dealership(id.clone(), effect)));
    };
    let effect = match (was_closed, closed) {
        (false, true) => DealershipEffect::Closed,
        (true, false) => DealershipEffect::Reopened,
        _ if old_name != name => DealershipEffect::Renamed,
        _ => return Ok(None),
    };
    sqlx::query(
        "-- clerk::projection::project_dealership
         UPDATE dealerships SET name = $2, closed_at = CASE WHEN $3 THEN coalesce(closed_at, $4) END, updated_at = $4
         WHERE id = $1",
    )
    .bind(DealershipId::of(id))
    .bind(name)
    .bind(closed)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(Some(Effect::Dealership(id.clone(), effect)))
}

async fn is_moving(tx: &mut SystemTx, id: DealershipId) -> Result<bool> {
    let moves = sqlx::query_scalar(
        "-- clerk::projection::is_moving
         SELECT EXISTS (SELECT FROM dealership_moves WHERE dealership_id = $1)",
    );
    Ok(moves.bind(id).fetch_one(tx.conn()).await?)
}

/// What is known of a dealership, and a time that is later than all that is recorded of it.
#[derive(FromRow)]
struct Dealership {
    name: String,
    closed: bool,
    now: DateTime<Utc>,
}

async fn lock(tx: &mut SystemTx, id: DealershipId) -> Result<Option<Dealership>> {
    // The clock is read outside the subquery, which means: after the lock was granted.
    Ok(sqlx::query_as(
        "-- clerk::projection::lock
         WITH dealership AS MATERIALIZED (
           SELECT name, closed_at IS NOT NULL AS closed, updated_at FROM dealerships WHERE id = $1 FOR NO KEY UPDATE)
         SELECT name, closed, greatest(clock_timestamp(), updated_at + interval '1 microsecond') AS now FROM dealership",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await?)
}

async fn insert_dealership(tx: &mut SystemTx, id: &ClerkOrgId, name: &str, closed: bool) -> Result<()> {
    sqlx::query(
        "-- clerk::projection::insert_dealership
         INSERT INTO dealerships (id, clerk_org_id, name, email, closed_at)
         VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)",
    )
    .bind(DealershipId::of(id))
    .bind(id)
    .bind(name)
    // An organization has no address of its own. RFC 2606 keeps `.invalid` from ever receiving mail.
    .bind(format!("{id}@dealership.invalid"))
    .bind(closed)
    .execute(tx.conn())
    .await?;
    lead_sources::create_defaults(tx, DealershipId::of(id)).await
}

/// Writes the person's row in each of their dealerships, and removes those that no membership justifies which did not end.
/// A person or a membership that Clerk only does not have keeps the row, without access: it may be seen again.
pub(super) async fn project_user(tx: &mut SystemTx, user: &ClerkUserId, record: &User) -> Result<Vec<Effect>> {
    let memberships = if record.deleted { Vec::new() } else { mirror::memberships_of(tx, user).await? };
    // Of several memberships in one organization, the last one counts.
    let current: BTreeMap<&ClerkOrgId, _> =
        memberships.iter().map(|current| (&current.membership.org, current)).collect();
    let mut effects = Vec::new();
    for (org, current) in &current {
        let missing = record.presence.is_missing() || current.missing;
        let changes = write_user(tx, org, user, record, (Role::from_clerk(&current.membership.role), missing)).await?;
        effects.extend(changes.into_iter().map(|effect| Effect::Member(user.clone(), (*org).clone(), effect)));
    }
    let stays: Vec<DealershipId> = current.keys().map(|org| DealershipId::of(org)).collect();
    let leaves: Vec<(UserId, DealershipId, ClerkOrgId)> = sqlx::query_as(
        "-- clerk::projection::project_user
         SELECT u.id, u.dealership_id, d.clerk_org_id FROM users u JOIN dealerships d ON d.id = u.dealership_id
         WHERE u.clerk_user_id = $1 AND u.dealership_id <> ALL ($2)",
    )
    .bind(user)
    .bind(stays)
    .fetch_all(tx.conn())
    .await?;
    for (id, dealership, org) in leaves {
        remove_user(tx, dealership, id).await?;
        effects.push(Effect::Member(user.clone(), org, MemberEffect::Left));
    }
    Ok(effects)
}

/// Removes somebody from a dealership: what was theirs is nobody's from then on. The lock comes first, so that nobody can
/// give them anything meanwhile, and who was about to has been waited for.
async fn remove_user(tx: &mut SystemTx, dealership: DealershipId, id: UserId) -> Result<()> {
    for statement in [
        "-- clerk::projection::remove_user\nSELECT FROM users WHERE id = $1 AND dealership_id = $2 FOR UPDATE",
        "-- clerk::projection::remove_user
         UPDATE leads SET assigned_to = NULL WHERE assigned_to = $1 AND dealership_id = $2",
        "-- clerk::projection::remove_user
         UPDATE lead_sources SET assigned_to = NULL WHERE assigned_to = $1 AND dealership_id = $2",
        "-- clerk::projection::remove_user
         UPDATE conversations SET sender_user_id = NULL WHERE sender_user_id = $1 AND dealership_id = $2",
        "-- clerk::projection::remove_user
         UPDATE lead_status_changes SET changed_by = NULL WHERE changed_by = $1 AND dealership_id = $2",
        "-- clerk::projection::remove_user\nDELETE FROM users WHERE id = $1 AND dealership_id = $2",
    ] {
        sqlx::query(statement).bind(id).bind(dealership).execute(tx.conn()).await?;
    }
    Ok(())
}

async fn write_user(
    tx: &mut SystemTx,
    org: &ClerkOrgId,
    user: &ClerkUserId,
    record: &User,
    (role, missing): (Role, bool),
) -> Result<Vec<MemberEffect>> {
    let profile = record.profile.as_ref().map(|latest| &latest.value);
    // What a membership says of the person counts only until the person's own record is known: what is absent there was
    // removed.
    let hint = record.hint.as_ref().map(|latest| &latest.value).filter(|_| profile.is_none());
    let email = profile.and_then(|p| p.email.clone()).or_else(|| hint.and_then(|h| h.email.clone()));
    let name = profile.and_then(|p| p.name.clone()).or_else(|| hint.and_then(|h| h.name.clone()));
    let name = name.or_else(|| email.clone()).unwrap_or_else(|| user.to_string());
    // Unique, and never shown as a name.
    let email = email.unwrap_or_else(|| format!("{user}@user.invalid"));
    let banned = profile.is_some_and(|p| p.banned);
    let suspended = banned || missing;
    let dealership = DealershipId::of(org);
    let before: Option<(Role, bool, String, String)> = sqlx::query_as(
        "-- clerk::projection::write_user
         SELECT role, suspended, email, name FROM users WHERE dealership_id = $1 AND clerk_user_id = $2",
    )
    .bind(dealership)
    .bind(user)
    .fetch_optional(tx.conn())
    .await?;
    let written = sqlx::query(
        "-- clerk::projection::write_user
         INSERT INTO users AS u (id, dealership_id, clerk_user_id, email, name, role, suspended)
         SELECT $1, d.id, $3, $4, $5, $6, $7 FROM dealerships d WHERE d.id = $2
         ON CONFLICT (dealership_id, clerk_user_id) DO UPDATE
           SET email = excluded.email, name = excluded.name, role = excluded.role, suspended = excluded.suspended
           WHERE (u.email, u.name, u.role, u.suspended)
                 IS DISTINCT FROM (excluded.email, excluded.name, excluded.role, excluded.suspended)",
    )
    .bind(UserId::of(dealership, user))
    .bind(dealership)
    .bind(user)
    .bind(&email)
    .bind(&name)
    .bind(role)
    .bind(suspended)
    .execute(tx.conn())
    .await?;
    if written.rows_affected() == 0 {
        return Ok(vec![]);
    }
    let Some((old_role, was_suspended, old_email, old_name)) = before else {
        let without_access = suspended.then_some(access(banned, missing));
        return Ok(std::iter::once(MemberEffect::Joined(role)).chain(without_access).collect());
    };
    let role = (old_role != role).then_some(MemberEffect::Role(old_role, role));
    let ban = (was_suspended != suspended).then_some(access(banned, missing));
    let description = ((old_email, old_name) != (email, name)).then_some(MemberEffect::Described);
    Ok([role, ban, description].into_iter().flatten().collect())
}

fn access(banned: bool, missing: bool) -> MemberEffect {
    match (banned, missing) {
        (true, _) => MemberEffect::Suspended,
        (false, true) => MemberEffect::Withdrawn,
        (false, false) => MemberEffect::Reinstated,
    }
}

/// Erases what else holds the name or the address of somebody who was deleted. Their rows in `users` are gone by now:
/// nobody can write under their name any more, and who was about to has been waited for.
pub(super) async fn forget(tx: &mut SystemTx, user: &ClerkUserId) -> Result<()> {
    sqlx::query(
        "-- clerk::projection::forget
         UPDATE conversations SET sender = $2, sender_clerk_user_id = NULL WHERE sender_clerk_user_id = $1",
    )
    .bind(user)
    .bind(FORGOTTEN)
    .execute(tx.conn())
    .await?;
    deliveries::erase(tx, Source::Clerk, user.as_str()).await
}
