//! What a change means: an observation for the mirror, and from there for dealerships and users.

use super::{
    change::Change,
    effect::Effect,
    mirror::{Latest, Membership, Observed, Organization, Presence, Record, User, observe},
    projection::{forget, project_dealership, project_user},
};
use crate::{
    db::{Result, SystemTx},
    ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId},
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
    Applied,
    /// Nothing that was not known already, or known better.
    Stale,
    /// It concerns something that is gone for good.
    Tombstoned,
}

impl Outcome {
    /// As kept with the delivery.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Tombstoned => "tombstoned",
        }
    }

    fn of<R: Record>(observed: &Observed<R>) -> Self {
        match (observed.is_news(), observed.before.is_deleted()) {
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
            Change::Organization { id, version, seen, organization } => {
                let attributes = Some(Latest::new(version, organization));
                let seen = Organization { attributes, presence: Presence::seen(seen), ..Organization::default() };
                self.see_organization(&id, seen).await
            }
            Change::OrganizationMissing { id, at } => {
                let seen = Organization { presence: Presence::missing(at), ..Organization::default() };
                self.see_organization(&id, seen).await
            }
            Change::OrganizationDeleted { id } => {
                self.see_organization(&id, Organization { deleted: true, ..Organization::default() }).await
            }
            Change::Membership { id, version, seen, membership, organization, hint } => {
                let seen = Presence::seen(seen);
                let organization = Organization {
                    attributes: Some(Latest::new(organization.0, organization.1)),
                    presence: seen,
                    ..Organization::default()
                };
                let org = self.see_organization(&membership.org, organization).await?;
                let person = User { hint: Some(Latest::new(version, hint)), presence: seen, ..User::default() };
                let record = Membership {
                    attributes: Some(Latest::new(version, membership.clone())),
                    presence: seen,
                    ..Membership::default()
                };
                let outcome = self.see_membership(&id, record, &membership.user, person).await?;
                Ok(if org == Outcome::Applied { org } else { outcome })
            }
            Change::MembershipMissing { id, user, at } => {
                let record = Membership { presence: Presence::missing(at), ..Membership::default() };
                self.see_membership(&id, record, &user, User::default()).await
            }
            Change::MembershipDeleted { id, user } => self.end_membership(&id, user).await,
            Change::User { id, version, seen, profile } => {
                let profile = Some(Latest::new(version, profile));
                self.see_user(&id, User { profile, presence: Presence::seen(seen), ..User::default() }).await
            }
            Change::UserMissing { id, at } => {
                self.see_user(&id, User { presence: Presence::missing(at), ..User::default() }).await
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

    async fn see_membership(
        &mut self,
        id: &ClerkMembershipId,
        seen: Membership,
        user: &ClerkUserId,
        person: User,
    ) -> Result<Outcome> {
        let person = observe(self.tx, user, person).await?;
        let observed = observe(self.tx, id, seen).await?;
        if person.is_news() || observed.is_news() {
            self.effects.extend(project_user(self.tx, user, &person.after).await?);
        }
        Ok(if person.is_news() { Outcome::Applied } else { Outcome::of(&observed) })
    }

    async fn end_membership(&mut self, id: &ClerkMembershipId, user: Option<ClerkUserId>) -> Result<Outcome> {
        if let Some(user) = &user {
            // Learns nothing, and takes the person's lock before the membership's.
            observe(self.tx, user, User::default()).await?;
        }
        let observed = observe(self.tx, id, Membership { deleted: true, ..Membership::default() }).await?;
        if let Some(user) = user.or_else(|| observed.before.pair().map(|(_, user)| user.clone())) {
            let person = observe(self.tx, &user, User::default()).await?;
            self.effects.extend(project_user(self.tx, &user, &person.after).await?);
        }
        Ok(Outcome::of(&observed))
    }

    async fn see_organization(&mut self, id: &ClerkOrgId, seen: Organization) -> Result<Outcome> {
        let observed = observe(self.tx, id, seen).await?;
        if observed.is_news() {
            self.effects.extend(project_dealership(self.tx, id, &observed.after).await?);
        }
        Ok(Outcome::of(&observed))
    }

    async fn see_user(&mut self, id: &ClerkUserId, seen: User) -> Result<Outcome> {
        let observed = observe(self.tx, id, seen).await?;
        if observed.is_news() {
            self.effects.extend(project_user(self.tx, id, &observed.after).await?);
        }
        Ok(Outcome::of(&observed))
    }
}
