use std::fmt;

use serde::{Serialize, Serializer};

use crate::{
    ids::{ClerkOrgId, ClerkUserId},
    role::Role,
};

/// Something that became different for a dealership or a person. Its text has ids and roles, never a name or an
/// address: it is kept, logged and reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Dealership(ClerkOrgId, DealershipEffect),
    /// Of a person's access to one dealership.
    Member(ClerkUserId, ClerkOrgId, MemberEffect),
    /// A person was erased.
    Erased(ClerkUserId),
}

/// What became different for a dealership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DealershipEffect {
    Opened,
    /// It has another name.
    Renamed,
    /// Nobody has access any more.
    Closed,
    /// Its people have access again.
    Reopened,
}

/// What became different for a person in a dealership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberEffect {
    /// They have access.
    Joined(Role),
    /// They may do more, or less.
    Role(Role, Role),
    Suspended,
    /// Clerk has no such person or membership, though it never said that it was deleted.
    Withdrawn,
    /// Their access is neither suspended nor withdrawn any more.
    Reinstated,
    /// They have another name or address.
    Described,
    /// They have no access any more.
    Left,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dealership(org, effect) => write!(f, "{org}: {effect}"),
            Self::Member(user, org, effect) => write!(f, "{user} in {org}: {effect}"),
            Self::Erased(user) => write!(f, "{user}: erased"),
        }
    }
}

impl fmt::Display for DealershipEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opened => "opened",
            Self::Renamed => "renamed",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
        })
    }
}

impl fmt::Display for MemberEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(role) => write!(f, "joined as {role}"),
            Self::Role(before, now) => write!(f, "{before} became {now}"),
            Self::Suspended => f.write_str("suspended"),
            Self::Withdrawn => f.write_str("access withdrawn: not found in Clerk"),
            Self::Reinstated => f.write_str("no longer suspended"),
            Self::Described => f.write_str("name or address changed"),
            Self::Left => f.write_str("left"),
        }
    }
}

impl Serialize for Effect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
