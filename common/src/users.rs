//! People as members of dealerships.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::UserId;

/// What a person may do in a dealership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
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

/// A member as others in the dealership see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserSummary {
    /// The membership.
    pub id: UserId,
    /// The person's name.
    pub name: String,
    /// The person's e-mail address.
    pub email: String,
    /// What they may do.
    pub role: Role,
}
