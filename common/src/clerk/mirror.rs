//! The mirror: what is known of each Clerk object, as a record that any order of observations makes the same.
//!
//! Every field of a record grows in one direction only (a later version wins, equal versions by content, deletion for
//! good), so merging is commutative, associative and idempotent. What a deletion erases stays erased.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::types::Json;

use super::change::{self, Version};
use crate::{
    db::{Db, Error, Result, SystemTx},
    ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId},
};

/// The newest of what was said. Equal versions are decided by content, never by arrival.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Latest<T> {
    pub(super) version: Version,
    pub(super) value: T,
}

impl<T> Latest<T> {
    pub(super) fn new(version: Version, value: T) -> Self {
        Self { version, value }
    }
}

/// A record of the mirror.
pub(super) trait Record:
    Default + Clone + PartialEq + Serialize + DeserializeOwned + Send + Unpin + 'static
{
    const KIND: &'static str;
    type Id: std::fmt::Display + Sync;

    /// The least record that knows at least as much as both.
    fn merge(self, other: Self) -> Self;

    /// Whether it is gone for good.
    fn is_deleted(&self) -> bool;

    /// Where and whose, for memberships.
    fn pair(&self) -> Option<(&ClerkOrgId, &ClerkUserId)> {
        None
    }
}

/// An organization. Its attributes outlive it, as the dealership's data does, until both are purged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Organization {
    pub(super) attributes: Option<Latest<change::Organization>>,
    pub(super) deleted: bool,
    pub(super) purged: bool,
}

impl Record for Organization {
    const KIND: &'static str = "organization";
    type Id = ClerkOrgId;

    fn merge(self, other: Self) -> Self {
        if self.purged || other.purged {
            return Self { attributes: None, deleted: true, purged: true };
        }
        Self {
            attributes: self.attributes.max(other.attributes),
            deleted: self.deleted || other.deleted,
            purged: false,
        }
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// A person. Nothing of them outlives a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) profile: Option<Latest<change::UserProfile>>,
    pub(super) hint: Option<Latest<change::PersonHint>>,
    pub(super) deleted: bool,
}

impl Record for User {
    const KIND: &'static str = "user";
    type Id = ClerkUserId;

    fn merge(self, other: Self) -> Self {
        if self.deleted || other.deleted {
            return Self { deleted: true, ..Self::default() };
        }
        Self { profile: self.profile.max(other.profile), hint: self.hint.max(other.hint), deleted: false }
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// A membership.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Membership {
    pub(super) attributes: Option<Latest<change::Membership>>,
    pub(super) deleted: bool,
}

impl Record for Membership {
    const KIND: &'static str = "membership";
    type Id = ClerkMembershipId;

    fn merge(self, other: Self) -> Self {
        if self.deleted || other.deleted {
            return Self { attributes: None, deleted: true };
        }
        Self { attributes: self.attributes.max(other.attributes), deleted: false }
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn pair(&self) -> Option<(&ClerkOrgId, &ClerkUserId)> {
        self.attributes.as_ref().map(|latest| (&latest.value.org, &latest.value.user))
    }
}

/// A record before and after an observation.
pub(super) struct Observed<R> {
    pub(super) before: R,
    pub(super) after: R,
}

impl<R: PartialEq> Observed<R> {
    pub(super) fn changed(&self) -> bool {
        self.before != self.after
    }
}

/// Merges an observation into the mirror. The record stays locked until the transaction ends, so that whatever is
/// projected from it cannot be overtaken; take organizations before users before memberships.
pub(super) async fn observe<R: Record>(tx: &mut SystemTx, id: &R::Id, seen: R) -> Result<Observed<R>> {
    let Json(before): Json<R> = sqlx::query_scalar(
        "-- clerk::mirror::observe
         INSERT INTO clerk_objects AS known (kind, id, state) VALUES ($1, $2, '{}')
         ON CONFLICT (kind, id) DO UPDATE SET kind = known.kind
         RETURNING state",
    )
    .bind(R::KIND)
    .bind(id.to_string())
    .fetch_one(tx.conn())
    .await
    .map_err(Error::from)?;
    let after = before.clone().merge(seen);
    let observed = Observed { before, after };
    if observed.changed() {
        let pair = observed.after.pair();
        sqlx::query(
            "-- clerk::mirror::observe
             UPDATE clerk_objects SET state = $3, org_id = $4, user_id = $5, updated_at = now() WHERE kind = $1 AND id = $2",
        )
        .bind(R::KIND)
        .bind(id.to_string())
        .bind(Json(&observed.after))
        .bind(pair.map(|(org, _)| org))
        .bind(pair.map(|(_, user)| user))
        .execute(tx.conn())
        .await
        .map_err(Error::from)?;
    }
    Ok(observed)
}

/// The living memberships of a person, newest last; ties by content and id.
pub(super) async fn memberships_of(tx: &mut SystemTx, user: &ClerkUserId) -> Result<Vec<change::Membership>> {
    let rows: Vec<(String, Json<Membership>)> = sqlx::query_as(
        "-- clerk::mirror::memberships_of
         SELECT id, state FROM clerk_objects WHERE kind = 'membership' AND user_id = $1",
    )
    .bind(user)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    let mut alive: Vec<_> =
        rows.into_iter().filter_map(|(id, Json(record))| record.attributes.map(|latest| (latest, id))).collect();
    alive.sort();
    Ok(alive.into_iter().map(|(latest, _)| latest.value).collect())
}

/// What Clerk has told of and not deleted.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) organizations: BTreeSet<ClerkOrgId>,
    pub(super) users: BTreeSet<ClerkUserId>,
    pub(super) memberships: BTreeMap<ClerkMembershipId, (ClerkOrgId, ClerkUserId)>,
}

/// The ids of everything that Clerk has told of and not deleted. What was provisioned by hand (version 0) is not among
/// it: Clerk never had it, so that it does not have it means nothing.
pub(super) async fn known(db: &Db) -> Result<Known> {
    let mut tx = db.system().await?;
    let organizations: Vec<ClerkOrgId> = sqlx::query_scalar(
        "-- clerk::mirror::known
         SELECT id FROM clerk_objects WHERE kind = 'organization' AND (state ->> 'deleted')::boolean IS NOT TRUE
           AND (state #>> '{attributes,version}')::bigint > 0",
    )
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    let users: Vec<ClerkUserId> = sqlx::query_scalar(
        "-- clerk::mirror::known
         SELECT id FROM clerk_objects WHERE kind = 'user' AND (state ->> 'deleted')::boolean IS NOT TRUE
           AND greatest((state #>> '{profile,version}')::bigint, (state #>> '{hint,version}')::bigint) > 0",
    )
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    let memberships: Vec<(ClerkMembershipId, ClerkOrgId, ClerkUserId)> = sqlx::query_as(
        "-- clerk::mirror::known
         SELECT id, org_id, user_id FROM clerk_objects WHERE kind = 'membership' AND user_id IS NOT NULL
           AND (state #>> '{attributes,version}')::bigint > 0",
    )
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(Known {
        organizations: organizations.into_iter().collect(),
        users: users.into_iter().collect(),
        memberships: memberships.into_iter().map(|(id, org, user)| (id, (org, user))).collect(),
    })
}
