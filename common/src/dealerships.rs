//! The dealership itself.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    db::{Result, TenantTx},
    ids::DealershipId,
    input::{Email, Fields, FromFields, Patch, Phone, integer, parsed, text},
    text_enum::text_enum,
    update::Update,
};

text_enum!(
    /// Whether a dealership pays.
    SubscriptionStatus {
        /// It does.
        Active = "active",
        /// Not yet.
        Trial = "trial",
        /// No longer.
        Cancelled = "cancelled",
    }
);

text_enum!(
    /// What a dealership pays for.
    SubscriptionTier {
        /// The least.
        Starter = "starter",
        /// More.
        Professional = "professional",
        /// Everything.
        Enterprise = "enterprise",
    }
);

/// A dealership.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Dealership {
    /// Identifies the dealership.
    pub id: DealershipId,
    /// The organization in Clerk.
    #[schema(example = "org_2g7np7Hrk0SN6kj5EDMLDaKNL0S")]
    pub clerk_org_id: String,
    /// Its name, which is kept in Clerk.
    #[schema(example = "Tesla Oslo")]
    pub name: String,
    /// Where customers write to.
    #[schema(example = "salg@tesla-oslo.example")]
    pub email: String,
    /// Where customers call.
    #[schema(example = "+47 22 12 34 56")]
    pub phone: Option<String>,
    /// Its postal address.
    #[schema(example = "Økernveien 115, 0579 Oslo")]
    pub address: Option<String>,
    /// Whether it pays.
    pub subscription_status: SubscriptionStatus,
    /// What it pays for.
    pub subscription_tier: SubscriptionTier,
    /// What a known customer writes within so many days of an open lead belongs to that lead.
    #[schema(example = 7)]
    pub same_lead_days: i16,
    /// People are told of a lead that no person has answered after so many minutes; of none, if null.
    #[schema(example = 30)]
    pub sla_minutes: Option<i16>,
    /// When it came to us.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a dealership may change about itself; only given fields change.
#[derive(Debug, Clone, ToSchema)]
pub struct DealershipPatch {
    /// Where customers write to.
    #[schema(value_type = String, required = false, example = "salg@tesla-oslo.example")]
    pub email: Option<Email>,
    /// Where customers call; null clears it.
    #[schema(value_type = Option<String>, example = "+47 22 12 34 56")]
    pub phone: Patch<Phone>,
    /// Where it is; null clears it.
    #[schema(value_type = Option<String>, example = "Økernveien 115, 0579 Oslo")]
    pub address: Patch<String>,
    /// What a known customer writes within so many days of an open lead belongs to that lead; 0 for never.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 90, example = 7)]
    pub same_lead_days: Option<i16>,
    /// People are told of a lead that no person has answered after so many minutes; null for not at all.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1440, example = 30)]
    pub sla_minutes: Patch<i16>,
}

impl FromFields for DealershipPatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            email: fields.change("email", parsed),
            phone: fields.patch("phone", parsed),
            address: fields.patch("address", text(500)),
            same_lead_days: fields.change("same_lead_days", integer(0..=90)).map(small),
            sla_minutes: fields.patch("sla_minutes", integer(1..=1440)).map(small),
        })
    }
}

fn small(number: i64) -> i16 {
    i16::try_from(number).expect("within its bounds")
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, clerk_org_id, name, email, phone, address, subscription_status, subscription_tier, same_lead_days, \
         sla_minutes, created_at, updated_at"
    };
}

/// The dealership of the transaction, unless it has been destroyed.
pub async fn find(tx: &mut TenantTx) -> Result<Option<Dealership>> {
    Ok(sqlx::query_as(concat!("-- dealerships::find\nSELECT ", columns!(), " FROM dealerships WHERE id = $1"))
        .bind(tx.dealership())
        .fetch_optional(tx.conn())
        .await?)
}

/// Changes the dealership of the transaction, unless it has been destroyed.
pub async fn update(tx: &mut TenantTx, patch: &DealershipPatch) -> Result<Option<Dealership>> {
    let lock = sqlx::query_scalar(
        "-- dealerships::lock
         WITH locked AS MATERIALIZED (SELECT updated_at FROM dealerships WHERE id = $1 FOR NO KEY UPDATE)
         SELECT greatest(clock_timestamp(), updated_at + interval '1 microsecond') FROM locked",
    );
    let now: Option<DateTime<Utc>> = lock.bind(tx.dealership()).fetch_optional(tx.conn()).await?;
    let Some(now) = now else { return Ok(None) };
    let mut update = Update::at("-- dealerships::update\nUPDATE dealerships", now);
    update.change("email", patch.email.as_ref().map(Email::as_str));
    update.patch("phone", patch.phone.as_ref().map(|phone| phone.typed.as_str()));
    update.patch("address", patch.address.as_ref().map(String::as_str));
    update.change("same_lead_days", patch.same_lead_days);
    update.patch("sla_minutes", patch.sla_minutes.as_ref());
    let mut query = update.finish();
    query.push(" WHERE id = ").push_bind(tx.dealership()).push(concat!(" RETURNING ", columns!()));
    Ok(query.build_query_as().fetch_optional(tx.conn()).await?)
}
