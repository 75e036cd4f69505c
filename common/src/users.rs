//! People as members of dealerships.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    db::{Result, TenantTx},
    ids::UserId,
    input::{Fields, FromFields, JsonText, Patch, Phone, parsed},
    notifications,
    page::{After, MAX_PART, Part},
    role::Role,
};

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
    /// Where you want text messages; null for everybody else.
    #[schema(example = "+4791234567")]
    pub phone: Option<String>,
    /// When they became a member.
    pub created_at: DateTime<Utc>,
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, clerk_user_id, name, email, role, suspended, notification_preferences, phone, created_at"
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

/// Whether a member has no access at present. `None` if the dealership has none such.
pub(crate) async fn is_suspended(tx: &mut TenantTx, id: UserId) -> Result<Option<bool>> {
    let asked =
        sqlx::query_scalar("-- users::is_suspended\nSELECT suspended FROM users WHERE id = $1 AND dealership_id = $2");
    Ok(asked.bind(id).bind(tx.dealership()).fetch_optional(tx.conn()).await?)
}

/// What a person changes about themselves; only given fields change.
#[derive(Debug, Clone, ToSchema)]
pub struct UserPatch {
    /// How they want to be told: `email` and `sms`, each of `events` (`new_lead`, `assigned`, `customer_replied`, `needs_human`,
    /// `not_delivered`, `source_broken`, `sending_broken`, `sla_at_risk`) by true or false, or by `{"email": true, "sms": false}`, and
    /// `quiet_hours` with `from` and `to` in Norwegian time. What is not in it is on; by SMS only `assigned`, `needs_human` and
    /// `sla_at_risk` are, until their own `sms` says otherwise.
    #[schema(value_type = Object, required = false)]
    pub notification_preferences: Option<JsonText>,
    /// Where they want text messages, in any notation; null for none.
    #[schema(value_type = Option<String>, max_length = 40, example = "912 34 567")]
    pub phone: Patch<Phone>,
}

impl FromFields for UserPatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let preferences = fields.change_json("notification_preferences", notifications::preferences);
        Some(Self { notification_preferences: preferences, phone: fields.patch("phone", parsed) })
    }
}

/// Changes a member, unless the dealership has none such.
pub async fn update(tx: &mut TenantTx, id: UserId, patch: &UserPatch) -> Result<Option<User>> {
    Ok(sqlx::query_as(concat!(
        "-- users::update
         UPDATE users SET notification_preferences = coalesce($3, notification_preferences),
                phone = CASE WHEN $4 THEN $5 ELSE phone END
         WHERE id = $1 AND dealership_id = $2 RETURNING ",
        columns!()
    ))
    .bind(id)
    .bind(tx.dealership())
    .bind(&patch.notification_preferences)
    .bind(patch.phone.sets().is_some())
    .bind(match &patch.phone {
        Patch::Set(phone) => Some(phone.e164.as_str()),
        Patch::Keep | Patch::Clear => None,
    })
    .fetch_optional(tx.conn())
    .await?)
}
