//! What a change means: an observation for the mirror, and from there for dealerships and users.

use super::{
    change::Change,
    effect::Effect,
    mirror::{Latest, Membership, Observed, Organization, Record, User, observe},
    projection::{forget, project_dealership, project_user},
};
use crate::{
    db::{Result, SystemTx},
    ids::{ClerkOrgId, ClerkUserId},
};

/// What a change came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What it meant to us.
    pub outcome: Outcome,
    /// What became different for dealerships and people: nothing, where what changed is not seen by anybody yet.
    pub effects: Vec<Effect>,
}

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
pub async fn apply(tx: &mut SystemTx, change: Change) -> Result<Applied> {
    let mut provisioning = Provisioning { tx, effects: Vec::new() };
    let outcome = provisioning.note(change).await?;
    Ok(Applied { outcome, effects: provisioning.effects })
}

struct Provisioning<'tx> {
    tx: &'tx mut SystemTx,
    effects: Vec<Effect>,
}

impl Provisioning<'_> {
    async fn note(&mut self, change: Change) -> Result<Outcome> {
        match change {
            Change::Organization { id, version, organization } => {
                let attributes = Some(Latest::new(version, organization));
                self.see_organization(&id, Organization { attributes, ..Organization::default() }).await
            }
            Change::OrganizationDeleted { id } => {
                self.see_organization(&id, Organization { deleted: true, ..Organization::default() }).await
            }
            Change::Membership { id, version, membership, organization: (org_version, organization), hint } => {
                let attributes = Some(Latest::new(org_version, organization));
                let seen = Organization { attributes, ..Organization::default() };
                let org = self.see_organization(&membership.org, seen).await?;
                let person = User { hint: Some(Latest::new(version, hint)), ..User::default() };
                let person = observe(self.tx, &membership.user, person).await?;
                let user = membership.user.clone();
                let seen = Membership { attributes: Some(Latest::new(version, membership)), deleted: false };
                let observed = observe(self.tx, &id, seen).await?;
                if person.changed() || observed.changed() {
                    self.effects.extend(project_user(self.tx, &user, &person.after).await?);
                }
                let news = org == Outcome::Applied || person.changed();
                Ok(if news { Outcome::Applied } else { Outcome::of(&observed) })
            }
            Change::MembershipDeleted { id, user } => {
                if let Some(user) = &user {
                    // Learns nothing, and takes the person's lock before the membership's.
                    observe(self.tx, user, User::default()).await?;
                }
                let observed = observe(self.tx, &id, Membership { attributes: None, deleted: true }).await?;
                if let Some(user) = user.or_else(|| observed.before.pair().map(|(_, user)| user.clone())) {
                    let person = observe(self.tx, &user, User::default()).await?;
                    self.effects.extend(project_user(self.tx, &user, &person.after).await?);
                }
                Ok(Outcome::of(&observed))
            }
            Change::User { id, version, profile } => {
                self.see_user(&id, User { profile: Some(Latest::new(version, profile)), ..User::default() }).await
            }
            Change::UserDeleted { id } => {
                let outcome = self.see_user(&id, User { deleted: true, ..User::default() }).await?;
                forget(self.tx, &id).await?;
                if outcome == Outcome::Applied {
                    self.effects.push(Effect::Erased(id));
                }
                Ok(outcome)
            }
        }
    }

    async fn see_organization(&mut self, id: &ClerkOrgId, seen: Organization) -> Result<Outcome> {
        let observed = observe(self.tx, id, seen).await?;
        if observed.changed() {
            self.effects.extend(project_dealership(self.tx, id, &observed.after).await?);
        }
        Ok(Outcome::of(&observed))
    }

    async fn see_user(&mut self, id: &ClerkUserId, seen: User) -> Result<Outcome> {
        let observed = observe(self.tx, id, seen).await?;
        if observed.changed() {
            self.effects.extend(project_user(self.tx, id, &observed.after).await?);
        }
        Ok(Outcome::of(&observed))
    }
}
