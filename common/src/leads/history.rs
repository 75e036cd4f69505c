use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, Row, postgres::PgRow};
use utoipa::ToSchema;

use super::LeadStatus;
use crate::{
    db::{Result, TenantTx},
    ids::{LeadId, StatusChangeId, UserId},
    page::{Before, MAX_PART, Part},
};

/// One step of a lead.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatusChange {
    /// Identifies the change.
    pub id: StatusChangeId,
    /// The status before the change.
    pub from_status: LeadStatus,
    /// The status after the change.
    pub to_status: LeadStatus,
    /// Who did it; null once that person has left.
    pub changed_by: Option<ChangedBy>,
    /// Clerk user who acted as that person, if somebody did.
    pub impersonator: Option<String>,
    /// Whether an automatic answer did it.
    pub automatic: bool,
    /// When the status changed.
    pub changed_at: DateTime<Utc>,
}

/// A person in a record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangedBy {
    /// Identifies the member.
    pub id: UserId,
    /// The person's name.
    #[schema(example = "Kari Nordmann")]
    pub name: String,
}

impl FromRow<'_, PgRow> for StatusChange {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let name: Option<String> = row.try_get("name")?;
        let id: Option<UserId> = row.try_get("changed_by")?;
        Ok(Self {
            id: row.try_get("id")?,
            from_status: row.try_get("from_status")?,
            to_status: row.try_get("to_status")?,
            changed_by: id.zip(name).map(|(id, name)| ChangedBy { id, name }),
            impersonator: row.try_get("impersonator")?,
            automatic: row.try_get("automatic")?,
            changed_at: row.try_get("changed_at")?,
        })
    }
}

/// The steps of a lead, newest first: a part of them. `None` if they do not include the one that it is to come before.
pub async fn history(
    tx: &mut TenantTx,
    id: LeadId,
    request: Before<StatusChangeId>,
) -> Result<Option<Part<StatusChange>>> {
    let mut place: Option<DateTime<Utc>> = None;
    if let Some(before) = request.before {
        place = sqlx::query_scalar(
            "-- leads::history
             SELECT changed_at FROM lead_status_changes WHERE id = $1 AND lead_id = $2 AND dealership_id = $3",
        )
        .bind(before)
        .bind(id)
        .bind(tx.dealership())
        .fetch_optional(tx.conn())
        .await?;
        if place.is_none() {
            return Ok(None);
        }
    }
    let items: Vec<StatusChange> = sqlx::query_as(
        "-- leads::history
         SELECT c.id, c.from_status, c.to_status, c.changed_by, c.impersonator, c.automatic, c.changed_at, u.name
         FROM lead_status_changes c LEFT JOIN users u ON u.id = c.changed_by AND u.dealership_id = c.dealership_id
         WHERE c.lead_id = $1 AND c.dealership_id = $2
           AND (c.changed_at, c.id) < (coalesce($3, 'infinity'), coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
         ORDER BY c.changed_at DESC, c.id DESC LIMIT $5",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(place)
    .bind(request.before)
    .bind(MAX_PART + 1)
    .fetch_all(tx.conn())
    .await?;
    Ok(Some(Part::of(items)))
}
