//! What people may do.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// What a person may do in a dealership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Role {
    /// Answers leads. The least privileged, and so what an unknown Clerk role means.
    SalesRep,
    /// Also runs the team.
    Manager,
    /// Also runs the dealership.
    Admin,
}

impl Role {
    /// The role that a Clerk membership's role stands for: a pure function, so that no order of events matters.
    pub fn from_clerk(role: &str) -> Self {
        match role.strip_prefix("org:").unwrap_or(role) {
            "admin" | "owner" => Self::Admin,
            "manager" => Self::Manager,
            _ => Self::SalesRep,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SalesRep => "sales_rep",
            Self::Manager => "manager",
            Self::Admin => "admin",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clerk_role_means_the_same_whoever_arrived_first() {
        for role in ["org:admin", "admin", "org:owner", "owner"] {
            assert_eq!(Role::from_clerk(role), Role::Admin, "{role}");
        }
        for role in ["org:manager", "manager"] {
            assert_eq!(Role::from_clerk(role), Role::Manager, "{role}");
        }
        for role in ["org:member", "basic_member", "", "org:", "org:administrator", "Admin", "team:admin"] {
            assert_eq!(Role::from_clerk(role), Role::SalesRep, "{role}");
        }
    }
}
