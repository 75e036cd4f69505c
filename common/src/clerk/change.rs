use serde::{Deserialize, Serialize};

use crate::ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId, DealershipId};

/// Orders what is known of one Clerk object: milliseconds since 1970, 0 when nothing tells.
pub type Version = i64;

/// One thing that Clerk says is so, however it reached us: by webhook, by the Backend API, or by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An organization looks like this.
    Organization {
        id: ClerkOrgId,
        /// When it came to look like this.
        version: Version,
        /// When it was last known to be there: by Clerk's clock for an event, by ours for an answer.
        seen: Version,
        organization: Organization,
    },
    /// An organization is gone for good.
    OrganizationDeleted { id: ClerkOrgId },
    /// A person is a member of an organization.
    Membership {
        /// Which membership; a person who rejoins has a new one.
        id: ClerkMembershipId,
        /// When it came to be like this.
        version: Version,
        /// When it was last known to be there: by Clerk's clock for an event, by ours for an answer.
        seen: Version,
        /// Who, where and as what.
        membership: Membership,
        /// The organization as embedded: possibly older than what is known, hence with its own version.
        organization: (Version, Organization),
        /// What the membership says of the person.
        hint: PersonHint,
    },
    /// Clerk had no such organization when it was asked. Unlike a deletion, this is over once it is seen later.
    OrganizationMissing {
        id: ClerkOrgId,
        /// When Clerk was asked.
        at: Version,
    },
    /// Clerk had no such membership when it was asked.
    MembershipMissing {
        id: ClerkMembershipId,
        user: ClerkUserId,
        /// When Clerk was asked.
        at: Version,
    },
    /// Clerk had no such person when it was asked.
    UserMissing {
        id: ClerkUserId,
        /// When Clerk was asked.
        at: Version,
    },
    MembershipDeleted {
        id: ClerkMembershipId,
        /// Whose, if told.
        user: Option<ClerkUserId>,
    },
    /// A person looks like this.
    User {
        id: ClerkUserId,
        /// When they came to look like this.
        version: Version,
        /// As of an organization.
        seen: Version,
        profile: UserProfile,
    },
    /// A person is gone for good, and is to be forgotten.
    UserDeleted { id: ClerkUserId },
}

impl Change {
    /// The same, known to be so at this time as well.
    #[must_use]
    pub fn seen_at(mut self, at: Version) -> Self {
        if let Self::Organization { seen, .. } | Self::Membership { seen, .. } | Self::User { seen, .. } = &mut self {
            *seen = at.max(*seen);
        }
        self
    }

    /// The id of the object that it is about, of whatever kind.
    pub fn object(&self) -> &str {
        match self {
            Self::Organization { id, .. } | Self::OrganizationDeleted { id } | Self::OrganizationMissing { id, .. } => {
                id.as_str()
            }
            Self::Membership { id, .. } | Self::MembershipDeleted { id, .. } | Self::MembershipMissing { id, .. } => {
                id.as_str()
            }
            Self::User { id, .. } | Self::UserDeleted { id } | Self::UserMissing { id, .. } => id.as_str(),
        }
    }

    /// Which dealership it is about, as far as it tells.
    pub fn dealership(&self) -> Option<DealershipId> {
        match self {
            Self::Organization { id, .. } | Self::OrganizationDeleted { id } | Self::OrganizationMissing { id, .. } => {
                Some(DealershipId::of(id))
            }
            Self::Membership { membership, .. } => Some(DealershipId::of(&membership.org)),
            Self::MembershipDeleted { .. }
            | Self::MembershipMissing { .. }
            | Self::User { .. }
            | Self::UserDeleted { .. }
            | Self::UserMissing { .. } => None,
        }
    }

    /// Whom it is about, if it is about a person.
    pub fn user(&self) -> Option<&ClerkUserId> {
        match self {
            Self::Membership { membership, .. } => Some(&membership.user),
            Self::MembershipDeleted { user, .. } => user.as_ref(),
            Self::MembershipMissing { user, .. } => Some(user),
            Self::User { id, .. } | Self::UserDeleted { id } | Self::UserMissing { id, .. } => Some(id),
            Self::Organization { .. } | Self::OrganizationDeleted { .. } | Self::OrganizationMissing { .. } => None,
        }
    }
}

/// Attributes of an organization. Never its identity: two may share all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Organization {
    pub name: Option<String>,
}

/// A person's place in an organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Membership {
    pub org: ClerkOrgId,
    pub user: ClerkUserId,
    /// Clerk's role key, such as `org:admin`.
    pub role: String,
}

/// What a membership says of its person: less than the person's own record, and used until that one is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonHint {
    /// Given and family name, or else what the person signs in with.
    pub name: Option<String>,
    /// E-mail address, if that is what the person is identified by.
    pub email: Option<String>,
}

/// A person's own attributes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserProfile {
    /// Given and family name, or else what the person signs in with.
    pub name: Option<String>,
    pub email: Option<String>,
    /// Banned people have no access, and otherwise stay who they are.
    pub banned: bool,
}
