//! People as members of dealerships.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    db::{Result, TenantTx},
    ids::UserId,
    page::{After, MAX_PART, Part},
};

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

/// A member, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserSummary {
    /// Identifies the member.
    pub id: UserId,
    /// The person's name.
    #[schema(example = "Kari Nordmann")]
    pub name: String,
    /// The person's e-mail address.
    #[schema(example = "kari.nordmann@tesla-oslo.example")]
    pub email: String,
    /// What they may do.
    pub role: Role,
}

/// A member of the dealership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct User {
    /// Identifies the member.
    pub id: UserId,
    /// The person in Clerk.
    #[schema(example = "user_2h8op3Isl1QR7tKu5FGNfaLKEoU")]
    pub clerk_user_id: String,
    /// The person's name.
    #[schema(example = "Kari Nordmann")]
    pub name: String,
    /// The person's e-mail address.
    #[schema(example = "kari.nordmann@tesla-oslo.example")]
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Banned in Clerk: no access for now.
    pub suspended: bool,
    /// How they want to hear of new leads.
    #[schema(value_type = Object, example = json!({ "sms": true, "email": true }))]
    pub notification_preferences: Value,
    /// When they became a member.
    pub created_at: DateTime<Utc>,
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, clerk_user_id, name, email, role, suspended, notification_preferences, created_at"
    };
}

/// What orders names as Norwegians do, without case and accents: the same on every server, whatever locales it has.
macro_rules! name_order {
    () => {
        "search_fold(norwegian_letters_last(name)) COLLATE \"C\""
    };
}

/// The members of the dealership, by name in Norwegian order: a part of them. `None` if they do not include the one that it is to come after.
pub async fn list(tx: &mut TenantTx, request: After<UserId>) -> Result<Option<Part<User>>> {
    let mut place: Option<String> = None;
    if let Some(after) = request.after {
        place = sqlx::query_scalar(concat!(
            "-- users::list\nSELECT ",
            name_order!(),
            " FROM users WHERE id = $1 AND dealership_id = $2"
        ))
        .bind(after)
        .bind(tx.dealership())
        .fetch_optional(tx.conn())
        .await?;
        if place.is_none() {
            return Ok(None);
        }
    }
    let items = sqlx::query_as(concat!(
        "-- users::list\nSELECT ",
        columns!(),
        " FROM users WHERE dealership_id = $1 AND ($2::text IS NULL OR (",
        name_order!(),
        ", id) > ($2, $3)) ORDER BY ",
        name_order!(),
        ", id LIMIT $4"
    ))
    .bind(tx.dealership())
    .bind(place)
    .bind(request.after)
    .bind(MAX_PART + 1)
    .fetch_all(tx.conn())
    .await?;
    Ok(Some(Part::of(items)))
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
