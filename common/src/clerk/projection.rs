//! From the mirror to dealerships and users.
//!
//! A dealership's row follows from its organization's record alone, a user's row from the person's record and their
//! memberships: each is written while the record it follows from is locked, so no two workers can disagree. A deleted
//! organization closes its dealership; access is refused there, whatever its users' rows say.

use std::collections::BTreeMap;

use super::{
    change,
    effect::{DealershipEffect, Effect, MemberEffect},
    mirror::{self, Latest, Organization, User},
};
use crate::{
    db::{Error, Result, SystemTx},
    ids::{ClerkOrgId, ClerkUserId, DealershipId, UserId},
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
    let closed = record.is_closed();
    let was_closed: Option<Option<bool>> = sqlx::query_scalar(
        "-- clerk::projection::project_dealership
         WITH before AS (SELECT closed_at IS NOT NULL AS closed FROM dealerships WHERE clerk_org_id = $2)
         INSERT INTO dealerships AS d (id, clerk_org_id, name, email, closed_at)
         VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)
         ON CONFLICT (clerk_org_id) DO UPDATE
           SET name = excluded.name, closed_at = CASE WHEN $5 THEN coalesce(d.closed_at, now()) END,
               updated_at = greatest(clock_timestamp(), d.updated_at + interval '1 microsecond')
           WHERE d.name <> excluded.name OR (d.closed_at IS NOT NULL) <> $5
         RETURNING (SELECT closed FROM before)",
    )
    .bind(DealershipId::of(id))
    .bind(id)
    .bind(name.as_deref().unwrap_or(id.as_str()))
    // An organization has no address of its own. RFC 2606 keeps `.invalid` from ever receiving mail.
    .bind(format!("{id}@dealership.invalid"))
    .bind(closed)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    let effect = was_closed.map(|before| match before {
        Some(before) if before == closed => DealershipEffect::Renamed,
        _ if closed => DealershipEffect::Closed,
        Some(_) => DealershipEffect::Reopened,
        None => DealershipEffect::Opened,
    });
    Ok(effect.map(|effect| Effect::Dealership(id.clone(), effect)))
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
    let orgs: Vec<&str> = current.keys().map(|org| org.as_str()).collect();
    let left: Vec<ClerkOrgId> = sqlx::query_scalar(
        "-- clerk::projection::project_user
         DELETE FROM users u USING dealerships d
         WHERE d.id = u.dealership_id AND u.clerk_user_id = $1 AND d.clerk_org_id <> ALL ($2)
         RETURNING d.clerk_org_id",
    )
    .bind(user)
    .bind(orgs)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    effects.extend(left.into_iter().map(|org| Effect::Member(user.clone(), org, MemberEffect::Left)));
    Ok(effects)
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
    let before: Option<(Option<Role>, Option<bool>, bool)> = sqlx::query_as(
        "-- clerk::projection::write_user
         WITH before AS (
           SELECT role, suspended, email, name FROM users WHERE dealership_id = $8 AND clerk_user_id = $3)
         INSERT INTO users AS u (id, dealership_id, clerk_user_id, email, name, role, suspended)
         SELECT $1, d.id, $3, $4, $5, $6, $7 FROM dealerships d WHERE d.clerk_org_id = $2
         ON CONFLICT (dealership_id, clerk_user_id) DO UPDATE
           SET email = excluded.email, name = excluded.name, role = excluded.role, suspended = excluded.suspended
           WHERE (u.email, u.name, u.role, u.suspended)
                 IS DISTINCT FROM (excluded.email, excluded.name, excluded.role, excluded.suspended)
         RETURNING (SELECT role FROM before), (SELECT suspended FROM before),
                   coalesce((SELECT (b.email, b.name) = (u.email, u.name) FROM before b), false)",
    )
    .bind(UserId::of(DealershipId::of(org), user))
    .bind(org)
    .bind(user)
    .bind(&email)
    .bind(&name)
    .bind(role)
    .bind(suspended)
    .bind(DealershipId::of(org))
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(match before {
        None => vec![],
        Some((Some(old_role), was_suspended, same_description)) => {
            let role = (old_role != role).then_some(MemberEffect::Role(old_role, role));
            let ban = (was_suspended != Some(suspended)).then_some(access(banned, missing));
            let description = (!same_description).then_some(MemberEffect::Described);
            [role, ban, description].into_iter().flatten().collect()
        }
        Some((None, ..)) => {
            let without_access = suspended.then_some(access(banned, missing));
            std::iter::once(MemberEffect::Joined(role)).chain(without_access).collect()
        }
    })
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
    .await
    .map_err(Error::from)?;
    // Those that wait erase themselves when they are processed.
    sqlx::query(
        "-- clerk::projection::forget\nUPDATE clerk_events SET body = NULL WHERE user_id = $1 AND status <> 'pending'",
    )
    .bind(user)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}
