//! The ledger: of everything that was received it is known what became of it. Received is always the sum of the states,
//! since each delivery is in exactly one of them.

use chrono::NaiveDate;
use serde::Serialize;
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};

use super::Source;
use crate::{
    db::{Result, SystemTx, TenantTx},
    input::{Fields, FromFields, integer_text},
};

/// Days that the ledger shows, unless told otherwise, and at most.
const DAYS: i64 = 30;
/// Deliveries are kept for that long.
const MAX_DAYS: i64 = 90;

/// How far the ledger goes back.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LedgerFilter {
    /// So many days until today.
    #[param(minimum = 1, maximum = 90, default = 30, required = false)]
    pub days: i64,
}

impl FromFields for LedgerFilter {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { days: fields.optional("days", integer_text(1..=MAX_DAYS)).unwrap_or(DAYS) })
    }
}

/// What came from one kind of source on one day, in Norwegian time, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct LedgerRow {
    /// The day, in Norwegian time.
    pub day: NaiveDate,
    /// Who sent it.
    pub source: Source,
    /// How many came, without those that came again: the sum of all that follow.
    pub received: i64,
    /// How many became a lead or a message of one.
    pub processed: i64,
    /// How many are of no use by design, such as tests of a provider.
    pub ignored: i64,
    /// How many wait for a person to decide.
    pub parked: i64,
    /// How many are of another account than ours.
    pub quarantined: i64,
    /// How many cannot be read.
    pub dead: i64,
    /// How many wait for a worker.
    pub pending: i64,
    /// Of Facebook: how many leads Meta lists for the day, as far as that was asked.
    pub meta_leads: Option<i64>,
}

/// Counts the deliveries that the condition lets through and that came within the last `$1` days.
macro_rules! count {
    ($name:literal, $condition:literal, $whose:literal) => {
        concat!(
            $name,
            "
         SELECT l.*, CASE l.source WHEN 'facebook' THEN (
           SELECT sum(c.meta_leads) FROM facebook_lead_counts c WHERE c.day = l.day",
            $whose,
            ") END AS meta_leads
         FROM (
         SELECT (received_at AT TIME ZONE 'Europe/Oslo')::date AS day, source, count(*) AS received,
                count(*) FILTER (WHERE status = 'processed') AS processed,
                count(*) FILTER (WHERE status = 'ignored') AS ignored,
                count(*) FILTER (WHERE status = 'parked') AS parked,
                count(*) FILTER (WHERE status = 'quarantined') AS quarantined,
                count(*) FILTER (WHERE status = 'dead') AS dead,
                count(*) FILTER (WHERE status = 'pending') AS pending
         FROM deliveries
         WHERE received_at >= ((now() AT TIME ZONE 'Europe/Oslo')::date - ($1::bigint - 1)::int) AT TIME ZONE 'Europe/Oslo'",
            $condition,
            " GROUP BY 1, 2) l ORDER BY 1 DESC, 2"
        )
    };
}

/// The dealership's ledger, newest day first.
pub async fn ledger(tx: &mut TenantTx, filter: LedgerFilter) -> Result<Vec<LedgerRow>> {
    Ok(sqlx::query_as(count!(
        "-- deliveries::ledger",
        " AND dealership_id = $2 AND source <> 'clerk'",
        " AND c.dealership_id = $2"
    ))
    .bind(filter.days)
    .bind(tx.dealership())
    .fetch_all(tx.conn())
    .await?)
}

/// The ledger of all that came from outside, Clerk's events too, newest day first.
pub async fn ledger_of_all(tx: &mut SystemTx, days: i64) -> Result<Vec<LedgerRow>> {
    Ok(sqlx::query_as(count!("-- deliveries::ledger_of_all", "", "")).bind(days).fetch_all(tx.conn()).await?)
}
