//! Comparing what is known here with what Clerk says, and importing the difference: the same way that webhooks go.
//!
//! Three steps, of which only the last writes: whose key it is; what Clerk has, and what it no longer has of what was known
//! before; then each difference.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    BackendApi, BackendApiError, KeyError, MassDeletion, Unreadable,
    backend_api::{Listing, Object},
    change::{Change, Membership, Version},
    effect::Effect,
    guard::DeletionGuard,
    instance::record_reconciliation,
    mirror::{self, Known},
    provisioning::{Outcome, apply},
};
use crate::{
    clock::Clock,
    config::ClerkBackend,
    db::{self, Db, SystemTx},
    ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId},
};

/// What to do about differences.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reconciliation {
    /// Only find out.
    pub dry_run: bool,
    /// Believe it also when Clerk no longer has much of what is known here.
    pub allow_mass_deletion: bool,
}

/// What Clerk has, and where we differed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// How many organizations Clerk has.
    pub organizations: usize,
    pub users: usize,
    pub memberships: usize,
    /// How many objects Clerk no longer has that were known here.
    pub missing: usize,
    /// How many objects it knows better than we did, those among them that it no longer has.
    pub news: usize,
    /// What became different by that for dealerships and people.
    pub effects: BTreeSet<Effect>,
    /// Objects that do not have the shape of their kind, and were left out.
    pub skipped: Vec<SkippedObject>,
}

/// An object of Clerk's that cannot be read. Nothing is inferred from what else is not in the same listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedObject {
    pub listing: &'static str,
    /// What is wrong with it. No value of it.
    pub reason: String,
}

/// Why the comparison was not finished.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The key is not used. Nothing was written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Clerk did not say. Nothing was written.
    #[error(transparent)]
    Clerk(#[from] BackendApiError),
    /// The database did not do it. What was imported until then stays, and the next run goes on from there.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// Too much is gone to be meant. Nothing was written.
    #[error(transparent)]
    MassDeletion(#[from] MassDeletion),
}

impl ReconcileError {
    /// Whether an operator has to decide. Everything else may pass.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Key(error) => error.is_final(),
            Self::MassDeletion(_) => true,
            Self::Clerk(error) => matches!(error, BackendApiError::WrongKey),
            Self::Db(_) => false,
        }
    }
}

/// Imports what Clerk knows better than we do, and withdraws access to and of what it no longer has: each object in a
/// transaction of its own, after Clerk has answered everything, so that nothing waits for Clerk and a run that is cut off
/// loses nothing. Running it again changes nothing. A dry run finds out the same and stops for the same reasons.
pub async fn reconcile(db: &Db, clerk: &ClerkBackend, how: Reconciliation) -> Result<Drift, ReconcileError> {
    let ended = run(db, clerk, how).await;
    let refusal = match &ended {
        Ok(_) => None,
        Err(error) if error.is_refusal() => Some(error.to_string()),
        // Says nothing about the next one.
        Err(_) => return ended,
    };
    if !how.dry_run {
        record_reconciliation(db, refusal.as_deref()).await?;
    }
    ended
}

async fn run(db: &Db, clerk: &ClerkBackend, how: Reconciliation) -> Result<Drift, ReconcileError> {
    let api = BackendApi::verified(db, clerk).await?;
    let known = mirror::known(&mut db.system().await?).await?;
    let mut comparison = Comparison::new(&api, &known);
    comparison.list().await?;
    comparison.drop_vanished().await?;
    comparison.remove_gone(DeletionGuard { allow: how.allow_mass_deletion }).await?;
    let Comparison { changes, mut drift, .. } = comparison;
    if how.dry_run {
        let mut tx = db.system().await?;
        for change in changes {
            import(&mut tx, change, &mut drift).await?;
        }
        return Ok(drift);
    }
    api.confirm(db, clerk).await?;
    for change in changes {
        let mut tx = db.system().await?;
        import(&mut tx, change, &mut drift).await?;
        tx.commit().await?;
    }
    Ok(drift)
}

async fn import(tx: &mut SystemTx, change: Change, drift: &mut Drift) -> db::Result<()> {
    let applied = apply(tx, change).await?;
    drift.news += usize::from(applied.outcome == Outcome::Applied);
    drift.effects.extend(applied.effects);
    Ok(())
}

/// What Clerk says, beside what was known before it was asked. Writes nothing.
struct Comparison<'a> {
    clerk: &'a BackendApi,
    known: &'a Known,
    began: Instant,
    /// Later than anything that was ever seen or missed, whatever the clock says.
    time: Version,
    listed: BTreeMap<Listing, BTreeSet<String>>,
    changes: Vec<Change>,
    drift: Drift,
}

impl<'a> Comparison<'a> {
    fn new(clerk: &'a BackendApi, known: &'a Known) -> Self {
        let time = Clock::system().now().timestamp_millis().max(known.latest + 1);
        let (listed, changes, drift) = Default::default();
        Self { clerk, known, began: Instant::now(), time, listed, changes, drift }
    }

    async fn list(&mut self) -> Result<(), BackendApiError> {
        // Organizations last: of one that is deleted meanwhile, the memberships may have been listed.
        for listing in [Listing::Users, Listing::Memberships, Listing::Organizations] {
            let mut walk = self.clerk.walk(listing);
            while let Some(page) = walk.next().await? {
                for object in page {
                    if let Some(change) = self.readable(listing, object) {
                        let new = self.listed.entry(listing).or_default().insert(change.object().to_owned());
                        self.changes.extend(new.then(|| change.seen_at(self.time)));
                    }
                }
            }
        }
        // As the locks are taken: whoever comes in between waits for one, and not in a circle.
        self.changes.sort_by_key(|change| match change {
            Change::Organization { .. } => 0,
            Change::User { .. } => 1,
            _ => 2,
        });
        let count = |listing| self.listed.get(&listing).map_or(0, BTreeSet::len);
        self.drift.organizations = count(Listing::Organizations);
        self.drift.users = count(Listing::Users);
        self.drift.memberships = count(Listing::Memberships);
        Ok(())
    }

    /// Leaves out memberships of organizations and people who were deleted while the listings were read, and were never
    /// known: nobody would be told of their end.
    async fn drop_vanished(&mut self) -> Result<(), BackendApiError> {
        let (mut organizations, mut users) = (BTreeSet::new(), BTreeSet::new());
        for change in &self.changes {
            let Change::Membership { membership: Membership { org, user, .. }, .. } = change else { continue };
            let unknown =
                !self.known.organizations.contains(org) && self.is_unlisted(Listing::Organizations, org.as_str());
            organizations.extend(unknown.then(|| org.clone()));
            let unknown = !self.known.users.contains(user) && self.is_unlisted(Listing::Users, user.as_str());
            users.extend(unknown.then(|| user.clone()));
        }
        for id in organizations.clone() {
            if let Some(object) = self.clerk.organization(&id).await? {
                self.found(Listing::Organizations, object);
                organizations.remove(&id);
            }
        }
        for id in users.clone() {
            if let Some(object) = self.clerk.user(&id).await? {
                self.found(Listing::Users, object);
                users.remove(&id);
            }
        }
        self.changes.retain(|change| match change {
            Change::Membership { membership: Membership { org, user, .. }, .. } => {
                !organizations.contains(org) && !users.contains(user)
            }
            _ => true,
        });
        Ok(())
    }

    fn readable(&mut self, listing: Listing, object: Object) -> Option<Change> {
        let skipped = |error: Unreadable| SkippedObject { listing: listing.as_str(), reason: error.to_string() };
        object.map_err(|error| self.drift.skipped.push(skipped(error))).ok()
    }

    /// Whether Clerk has left this out of a listing that was read completely.
    fn is_unlisted(&self, listing: Listing, id: &str) -> bool {
        let complete = !self.drift.skipped.iter().any(|skipped| skipped.listing == listing.as_str());
        complete && !self.listed.get(&listing).is_some_and(|listed| listed.contains(id))
    }

    /// Asks for each object that was not listed, since a list may pass over one: only what Clerk then does not have either
    /// is gone. What was provisioned meanwhile is not asked for.
    async fn remove_gone(&mut self, guard: DeletionGuard) -> Result<(), ReconcileError> {
        let known = self.known;
        // Later than what was listed: a listed membership says less of its organization than that Clerk has none.
        let at = self.time + 1 + Version::try_from(self.began.elapsed().as_millis()).unwrap_or(0);
        let organizations = self.gone_organizations(guard).await?;
        let users = self.gone_users(guard).await?;
        let together = known.organizations.len() + known.users.len();
        guard.check("organizations and people", organizations.len() + users.len(), together)?;
        let memberships = self.gone_memberships(guard, &organizations, &users).await?;
        let gone = organizations.into_iter().map(|id| Change::OrganizationMissing { id, at });
        let gone = gone.chain(users.into_iter().map(|id| Change::UserMissing { id, at }));
        let of_people = memberships.into_iter().map(|(id, user)| Change::MembershipMissing { id, user, at });
        let gone: Vec<_> = gone.chain(of_people).collect();
        self.drift.missing = gone.len();
        self.changes.extend(gone);
        Ok(())
    }

    async fn gone_organizations(&mut self, guard: DeletionGuard) -> Result<BTreeSet<ClerkOrgId>, ReconcileError> {
        let (known, mut gone) = (&self.known.organizations, BTreeSet::new());
        for id in known {
            if !self.is_unlisted(Listing::Organizations, id.as_str()) {
                continue;
            }
            if let Some(object) = self.clerk.organization(id).await? {
                self.found(Listing::Organizations, object);
            } else {
                gone.insert(id.clone());
                guard.check(Listing::Organizations.as_str(), gone.len(), known.len())?;
            }
        }
        Ok(gone)
    }

    async fn gone_users(&mut self, guard: DeletionGuard) -> Result<BTreeSet<ClerkUserId>, ReconcileError> {
        let (known, mut gone) = (&self.known.users, BTreeSet::new());
        for id in known {
            if !self.is_unlisted(Listing::Users, id.as_str()) {
                continue;
            }
            if let Some(object) = self.clerk.user(id).await? {
                self.found(Listing::Users, object);
            } else {
                gone.insert(id.clone());
                guard.check(Listing::Users.as_str(), gone.len(), known.len())?;
            }
        }
        Ok(gone)
    }

    /// Those of an organization or a person that is gone end with it.
    async fn gone_memberships(
        &mut self,
        guard: DeletionGuard,
        organizations: &BTreeSet<ClerkOrgId>,
        users: &BTreeSet<ClerkUserId>,
    ) -> Result<Vec<(ClerkMembershipId, ClerkUserId)>, ReconcileError> {
        let known = self.known;
        let is_there = |(org, user): &(ClerkOrgId, ClerkUserId)| {
            known.organizations.contains(org)
                && known.users.contains(user)
                && !organizations.contains(org)
                && !users.contains(user)
        };
        let remaining: Vec<_> = known.memberships.iter().filter(|(_, pair)| is_there(pair)).collect();
        let mut unlisted: BTreeMap<&ClerkUserId, Vec<&ClerkMembershipId>> = BTreeMap::new();
        for (id, (_, user)) in &remaining {
            if self.is_unlisted(Listing::Memberships, id.as_str()) {
                unlisted.entry(user).or_default().push(id);
            }
        }
        let mut gone = Vec::new();
        for (user, ids) in unlisted {
            let now = self.clerk.memberships_of(user).await?;
            let readable = now.iter().all(Result::is_ok);
            let has = |id: &ClerkMembershipId| now.iter().flatten().any(|change| change.object() == id.as_str());
            for id in ids.into_iter().filter(|id| readable && !has(id)) {
                gone.push((id.clone(), user.clone()));
                guard.check(Listing::Memberships.as_str(), gone.len(), remaining.len())?;
            }
            for object in now {
                self.found(Listing::Memberships, object);
            }
        }
        Ok(gone)
    }

    /// Clerk has it after all.
    fn found(&mut self, listing: Listing, object: Object) {
        let change = self.readable(listing, object).map(|change| change.seen_at(self.time));
        self.changes.extend(change);
    }
}
