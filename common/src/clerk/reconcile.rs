//! Comparing what we know with what Clerk says, and taking over the difference: the same way that webhooks go.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    BackendApi, BackendApiError, Listing,
    change::Change,
    effect::Effect,
    mirror::{self, Known},
    provisioning::{Outcome, apply},
};
use crate::{
    db::{self, Db},
    ids::{ClerkMembershipId, ClerkUserId},
};

/// So many objects of one kind may be gone without anybody being asked.
const FEW: usize = 10;
/// And no more than one in so many.
const ONE_IN: usize = 10;

/// What to do about differences.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reconciliation {
    /// Only find out.
    pub dry_run: bool,
    /// Believe it also when Clerk no longer has much of what we know. People are erased for good, and that may only
    /// mean that the key is another instance's.
    pub allow_mass_deletion: bool,
}

/// What Clerk has, and where we differed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// How many organizations Clerk has.
    pub organizations: usize,
    /// How many people.
    pub users: usize,
    /// How many memberships.
    pub memberships: usize,
    /// How many objects it knows better than we did.
    pub news: usize,
    /// What became different by that for dealerships and people.
    pub effects: BTreeSet<Effect>,
}

/// Why the comparison was not finished. What was taken over until then stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Clerk did not say.
    #[error(transparent)]
    Clerk(#[from] BackendApiError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// Nothing was deleted.
    #[error(
        "Clerk no longer has more than {limit} of the {known} {what} that are known here. \
         Is CLERK_SECRET_KEY the right instance's? If all of them were deleted on purpose: norvalt sync --allow-mass-deletion"
    )]
    MassDeletion {
        /// Of which kind.
        what: &'static str,
        /// How many there are here.
        known: usize,
        /// How many would have been believed.
        limit: usize,
    },
}

/// Takes over what Clerk knows better than we do, and lets go of what it no longer has: each object in a transaction of its
/// own, so that nothing waits for Clerk and a run that is cut off loses nothing. Running it again changes nothing.
pub async fn reconcile(db: &Db, clerk: &BackendApi, how: Reconciliation) -> Result<Drift, ReconcileError> {
    let mut run = Run { db, clerk, how, drift: Drift::default() };
    let users = run.take_over(Listing::Users).await?;
    let memberships = run.take_over(Listing::Memberships).await?;
    // Last: one that is deleted during the walk is then not listed any more, though its memberships were.
    let organizations = run.take_over(Listing::Organizations).await?;
    (run.drift.users, run.drift.memberships) = (users.len(), memberships.len());
    run.drift.organizations = organizations.len();
    // Whatever came to be meanwhile is asked for once more before it is believed to be gone.
    let known = mirror::known(db).await?;
    run.let_go(known, &Seen { organizations, users, memberships }).await?;
    Ok(run.drift)
}

struct Run<'a> {
    db: &'a Db,
    clerk: &'a BackendApi,
    how: Reconciliation,
    drift: Drift,
}

/// The ids that Clerk listed.
struct Seen {
    organizations: BTreeSet<String>,
    users: BTreeSet<String>,
    memberships: BTreeSet<String>,
}

impl Run<'_> {
    async fn take_over(&mut self, listing: Listing) -> Result<BTreeSet<String>, ReconcileError> {
        let mut seen = BTreeSet::new();
        let mut walk = self.clerk.walk(listing);
        while let Some(page) = walk.next().await? {
            for change in page {
                seen.insert(change.object().to_owned());
                self.note(change).await?;
            }
        }
        Ok(seen)
    }

    /// Asks for each object that was not listed, since a list may pass over one: only what Clerk then does not have either
    /// is gone. Nothing is believed to be until all of it is known.
    async fn let_go(&mut self, mut known: Known, seen: &Seen) -> Result<(), ReconcileError> {
        let mut gone = self.organizations_gone(&mut known, seen).await?;
        gone.extend(self.users_gone(&mut known, seen).await?);
        gone.extend(self.memberships_gone(&known, seen).await?);
        for change in gone {
            self.note(change).await?;
        }
        Ok(())
    }

    async fn organizations_gone(&mut self, known: &mut Known, seen: &Seen) -> Result<Vec<Change>, ReconcileError> {
        let mut brake = Brake::new("organizations", known.organizations.len(), self.how);
        let mut gone = BTreeSet::new();
        for id in known.organizations.iter().filter(|id| !seen.organizations.contains(id.as_str())) {
            if let Some(change) = self.clerk.organization(id).await? {
                self.note(change).await?;
            } else {
                brake.one_more()?;
                gone.insert(id.clone());
            }
        }
        known.organizations.retain(|id| !gone.contains(id));
        Ok(gone.into_iter().map(|id| Change::OrganizationDeleted { id }).collect())
    }

    async fn users_gone(&mut self, known: &mut Known, seen: &Seen) -> Result<Vec<Change>, ReconcileError> {
        let mut brake = Brake::new("people", known.users.len(), self.how);
        let mut gone = BTreeSet::new();
        for id in known.users.iter().filter(|id| !seen.users.contains(id.as_str())) {
            if let Some(change) = self.clerk.user(id).await? {
                self.note(change).await?;
            } else {
                brake.one_more()?;
                gone.insert(id.clone());
            }
        }
        known.users.retain(|id| !gone.contains(id));
        Ok(gone.into_iter().map(|id| Change::UserDeleted { id }).collect())
    }

    async fn memberships_gone(&mut self, known: &Known, seen: &Seen) -> Result<Vec<Change>, ReconcileError> {
        let mut brake = Brake::new("memberships", known.memberships.len(), self.how);
        let mut gone = Vec::new();
        for (user, memberships) in unlisted(known, seen) {
            let now = self.clerk.memberships_of(&user).await?;
            for id in memberships {
                if !now.iter().any(|change| change.object() == id.as_str()) {
                    brake.one_more()?;
                    gone.push(Change::MembershipDeleted { id, user: Some(user.clone()) });
                }
            }
            for change in now {
                self.note(change).await?;
            }
        }
        Ok(gone)
    }

    async fn note(&mut self, change: Change) -> db::Result<()> {
        let mut tx = self.db.system().await?;
        let applied = apply(&mut tx, change).await?;
        if applied.outcome == Outcome::Applied {
            self.drift.news += 1;
            if !self.how.dry_run {
                tx.commit().await?;
            }
        }
        self.drift.effects.extend(applied.effects);
        Ok(())
    }
}

/// The memberships that were not listed, by person. Those of a deleted organization or person end with it.
fn unlisted(known: &Known, seen: &Seen) -> BTreeMap<ClerkUserId, Vec<ClerkMembershipId>> {
    let mut unlisted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, (org, user)) in &known.memberships {
        let alive = known.organizations.contains(org) && known.users.contains(user);
        if alive && !seen.memberships.contains(id.as_str()) {
            unlisted.entry(user.clone()).or_default().push(id.clone());
        }
    }
    unlisted
}

/// Stops before much is deleted that perhaps should not be.
struct Brake {
    what: &'static str,
    known: usize,
    limit: usize,
    gone: usize,
}

impl Brake {
    fn new(what: &'static str, known: usize, how: Reconciliation) -> Self {
        let limit = if how.dry_run || how.allow_mass_deletion { known } else { FEW.max(known / ONE_IN) };
        Self { what, known, limit, gone: 0 }
    }

    fn one_more(&mut self) -> Result<(), ReconcileError> {
        let Self { what, known, limit, .. } = *self;
        self.gone += 1;
        if self.gone > limit { Err(ReconcileError::MassDeletion { what, known, limit }) } else { Ok(()) }
    }
}
