//! The mirror: what is known of each Clerk object, as a record that any order of observations makes the same.
//!
//! Every field of a record grows in one direction only (a later version wins, equal versions by content, deletion for
//! good), so merging is commutative, associative and idempotent. What a deletion erases stays erased. That Clerk did not
//! have something when it was asked erases nothing: it is an observation with a time, and a later sighting is another.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::types::Json;

use super::change::{self, Version};
use crate::{
    db::{Result, SystemTx},
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

/// When an object was last known to be in Clerk, and when it was last known not to be. 0 for never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Presence {
    seen: Version,
    missing: Version,
}

impl Presence {
    pub(super) fn seen(at: Version) -> Self {
        Self { seen: at, missing: 0 }
    }

    pub(super) fn missing(at: Version) -> Self {
        Self { seen: 0, missing: at }
    }

    pub(super) fn is_missing(self) -> bool {
        self.missing > self.seen
    }

    fn merge(self, other: Self) -> Self {
        Self { seen: self.seen.max(other.seen), missing: self.missing.max(other.missing) }
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

    /// When it was there and when not.
    fn presence(&mut self) -> &mut Presence;

    /// Where and whose, for memberships.
    fn pair(&self) -> Option<(&ClerkOrgId, &ClerkUserId)> {
        None
    }
}

impl Organization {
    /// Whether nobody is to have access.
    pub(super) fn is_closed(&self) -> bool {
        self.deleted || self.presence.is_missing()
    }
}

/// An organization. Its attributes outlive it, as the dealership's data does, until both are purged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Organization {
    pub(super) attributes: Option<Latest<change::Organization>>,
    pub(super) presence: Presence,
    pub(super) deleted: bool,
    pub(super) purged: bool,
}

impl Record for Organization {
    const KIND: &'static str = "organization";
    type Id = ClerkOrgId;

    fn merge(self, other: Self) -> Self {
        if self.purged || other.purged {
            return Self { deleted: true, purged: true, ..Self::default() };
        }
        let deleted = self.deleted || other.deleted;
        Self {
            attributes: self.attributes.max(other.attributes),
            presence: if deleted { Presence::default() } else { self.presence.merge(other.presence) },
            deleted,
            purged: false,
        }
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn presence(&mut self) -> &mut Presence {
        &mut self.presence
    }
}

/// A person. Nothing of them outlives a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) profile: Option<Latest<change::UserProfile>>,
    pub(super) hint: Option<Latest<change::PersonHint>>,
    pub(super) presence: Presence,
    pub(super) deleted: bool,
}

impl Record for User {
    const KIND: &'static str = "user";
    type Id = ClerkUserId;

    fn merge(self, other: Self) -> Self {
        if self.deleted || other.deleted {
            return Self { deleted: true, ..Self::default() };
        }
        Self {
            profile: self.profile.max(other.profile),
            hint: self.hint.max(other.hint),
            presence: self.presence.merge(other.presence),
            deleted: false,
        }
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn presence(&mut self) -> &mut Presence {
        &mut self.presence
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Membership {
    pub(super) attributes: Option<Latest<change::Membership>>,
    pub(super) presence: Presence,
    pub(super) deleted: bool,
}

impl Record for Membership {
    const KIND: &'static str = "membership";
    type Id = ClerkMembershipId;

    fn merge(self, other: Self) -> Self {
        if self.deleted || other.deleted {
            return Self { deleted: true, ..Self::default() };
        }
        Self {
            attributes: self.attributes.max(other.attributes),
            presence: self.presence.merge(other.presence),
            deleted: false,
        }
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn presence(&mut self) -> &mut Presence {
        &mut self.presence
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

impl<R: Record> Observed<R> {
    /// Whether it means anything new: more than that what is known was seen once more.
    pub(super) fn is_news(&self) -> bool {
        let meaning = |record: &R| {
            let mut record = record.clone();
            let presence = record.presence();
            *presence = Presence::missing(Version::from(presence.is_missing()));
            record
        };
        meaning(&self.before) != meaning(&self.after)
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
    .await?;
    let after = before.clone().merge(seen);
    let observed = Observed { before, after };
    if observed.before != observed.after {
        // Of one that ended it is still known where it was and whose, though its record no longer says so.
        let pair = observed.after.pair();
        sqlx::query(
            "-- clerk::mirror::observe
             UPDATE clerk_objects SET state = $3, org_id = coalesce($4, org_id), user_id = coalesce($5, user_id), updated_at = now()
             WHERE kind = $1 AND id = $2",
        )
        .bind(R::KIND)
        .bind(id.to_string())
        .bind(Json(&observed.after))
        .bind(pair.map(|(org, _)| org))
        .bind(pair.map(|(_, user)| user))
        .execute(tx.conn())
        .await?;
    }
    Ok(observed)
}

/// A membership that did not end, and whether Clerk has it.
pub(super) struct CurrentMembership {
    pub(super) membership: change::Membership,
    pub(super) missing: bool,
}

/// The memberships of a person that did not end: first those that Clerk does not have, then the others, each newest last;
/// ties by content and id.
pub(super) async fn memberships_of(tx: &mut SystemTx, user: &ClerkUserId) -> Result<Vec<CurrentMembership>> {
    let rows: Vec<(String, Json<Membership>)> = sqlx::query_as(
        "-- clerk::mirror::memberships_of
         SELECT id, state FROM clerk_objects WHERE kind = 'membership' AND user_id = $1",
    )
    .bind(user)
    .fetch_all(tx.conn())
    .await?;
    let present = |record: &Membership| !record.presence.is_missing();
    let mut alive: Vec<_> =
        rows.into_iter().filter_map(|(id, Json(record))| Some((present(&record), record.attributes?, id))).collect();
    alive.sort();
    let current = |(present, latest, _): (bool, Latest<change::Membership>, String)| CurrentMembership {
        membership: latest.value,
        missing: !present,
    };
    Ok(alive.into_iter().map(current).collect())
}

/// What Clerk has told of, not deleted, and had when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) organizations: BTreeSet<ClerkOrgId>,
    pub(super) users: BTreeSet<ClerkUserId>,
    pub(super) memberships: BTreeMap<ClerkMembershipId, (ClerkOrgId, ClerkUserId)>,
    /// The latest time at which anything was seen or missing.
    pub(super) latest: Version,
}

/// The ids of everything that Clerk has told of, not deleted, and had when it was last asked. What was provisioned by hand
/// (version 0) is not among it: Clerk never had it, so that it does not have it means nothing.
pub(super) async fn known(tx: &mut SystemTx) -> Result<Known> {
    let organizations: Vec<ClerkOrgId> = sqlx::query_scalar(
        "-- clerk::mirror::known
         SELECT id FROM clerk_objects WHERE kind = 'organization' AND (state ->> 'deleted')::boolean IS NOT TRUE
           AND (state #>> '{attributes,version}')::bigint > 0
           AND (state #>> '{presence,missing}')::bigint > (state #>> '{presence,seen}')::bigint IS NOT TRUE",
    )
    .fetch_all(tx.conn())
    .await?;
    let users: Vec<ClerkUserId> = sqlx::query_scalar(
        "-- clerk::mirror::known
         SELECT id FROM clerk_objects WHERE kind = 'user' AND (state ->> 'deleted')::boolean IS NOT TRUE
           AND greatest((state #>> '{profile,version}')::bigint, (state #>> '{hint,version}')::bigint) > 0
           AND (state #>> '{presence,missing}')::bigint > (state #>> '{presence,seen}')::bigint IS NOT TRUE",
    )
    .fetch_all(tx.conn())
    .await?;
    let memberships: Vec<(ClerkMembershipId, ClerkOrgId, ClerkUserId)> = sqlx::query_as(
        "-- clerk::mirror::known
         SELECT id, org_id, user_id FROM clerk_objects WHERE kind = 'membership' AND user_id IS NOT NULL
           AND (state #>> '{attributes,version}')::bigint > 0
           AND (state #>> '{presence,missing}')::bigint > (state #>> '{presence,seen}')::bigint IS NOT TRUE",
    )
    .fetch_all(tx.conn())
    .await?;
    let latest: Option<Version> = sqlx::query_scalar(
        "-- clerk::mirror::known
         SELECT max(greatest((state #>> '{presence,missing}')::bigint, (state #>> '{presence,seen}')::bigint))
         FROM clerk_objects",
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Known {
        organizations: organizations.into_iter().collect(),
        users: users.into_iter().collect(),
        memberships: memberships.into_iter().map(|(id, org, user)| (id, (org, user))).collect(),
        latest: latest.unwrap_or(0),
    })
}

/// Some of the organizations and people that Clerk has told of and not deleted, always the same ones.
pub(super) async fn sample(tx: &mut SystemTx, limit: i64) -> Result<(Vec<ClerkOrgId>, Vec<ClerkUserId>)> {
    let sample: Vec<(String, String)> = sqlx::query_as(
        "-- clerk::mirror::sample
         SELECT kind, id FROM clerk_objects
         WHERE kind IN ('organization', 'user') AND (state ->> 'deleted')::boolean IS NOT TRUE
           AND greatest((state #>> '{attributes,version}')::bigint, (state #>> '{profile,version}')::bigint,
                        (state #>> '{hint,version}')::bigint) > 0
         ORDER BY md5(id) LIMIT $1",
    )
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let of_kind = |wanted: &'static str| sample.iter().filter(move |(kind, _)| kind == wanted).map(|(_, id)| id);
    Ok((
        of_kind(Organization::KIND).filter_map(|id| id.parse().ok()).collect(),
        of_kind(User::KIND).filter_map(|id| id.parse().ok()).collect(),
    ))
}
