//! What the assistant said of a delivery that rules could not tell.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use utoipa::ToSchema;

use crate::db::{Result, TenantTx};

/// What the assistant was asked and what it said. It is erased with the delivery's content.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Opinion {
    /// What it was given.
    #[schema(value_type = Object)]
    pub given: Value,
    /// What it answered, as it came; null if nothing.
    pub came_back: Option<String>,
    /// Which model it was.
    pub model: Option<String>,
    /// What it takes the mail for; null if that cannot be read.
    #[schema(example = "inquiry")]
    pub kind: Option<String>,
    /// Why, or why there is no answer.
    pub reason: String,
}

/// Notes an opinion, and what it cost. The delivery is locked. Without one only the cost is noted: what was decided or erased
/// meanwhile stays as it is.
pub async fn note_opinion(tx: &mut TenantTx, id: i64, opinion: Option<&Opinion>, tokens: i64) -> Result<()> {
    sqlx::query(
        "-- deliveries::note_opinion
         UPDATE deliveries
         SET opinion = coalesce($3, opinion), opinion_at = now(), opinion_tokens = opinion_tokens + $4
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(opinion.map(Json))
    .bind(tokens)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What the dealership's opinions of 24 hours have cost.
pub async fn tokens_of_opinions(tx: &mut TenantTx) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "-- deliveries::tokens_of_opinions
         SELECT coalesce(sum(opinion_tokens), 0)::bigint FROM deliveries
         WHERE dealership_id = $1 AND opinion_at > now() - interval '1 day'",
    )
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?)
}
