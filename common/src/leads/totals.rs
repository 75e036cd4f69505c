//! Counting leads once instead of for each page: `docs/adr/0007-exact-totals.md`.

use chrono::{DateTime, Utc};
use sqlx::Executor;

use crate::{
    db::{Db, Error, Result},
    ids::DealershipId,
    telemetry::error_chain,
};

/// A page counts fewer leads than these itself, and those of the last day.
const WORTHWHILE: i64 = 1_000;
/// How many are counted in one transaction, at most: as long as that takes, nobody adds a lead to the dealership.
const STEP: i64 = 50_000;

/// How long those who add leads to a dealership may have to wait for a step of ours, and a step for one of them.
const LIMIT_STATEMENTS: &str = "SET LOCAL statement_timeout = '2s'";

/// Counts the leads of all dealerships that came in more than a day ago and were not counted yet. Returns how many times
/// it wrote down where it had got to.
pub async fn count(db: &Db) -> Result<u64> {
    let mut tx = db.system().await?;
    let waiting: Vec<DealershipId> = sqlx::query_scalar(
        "-- leads::count
         SELECT id FROM dealerships d
         WHERE $1 <= (SELECT count(*) FROM (
           SELECT FROM leads WHERE dealership_id = d.id AND created_at >= d.leads_counted_before
             AND created_at < now() - interval '1 day' LIMIT $1) l)
         ORDER BY id",
    )
    .bind(WORTHWHILE)
    .fetch_all(tx.conn())
    .await?;
    tx.commit().await?;
    let mut steps = 0;
    for dealership in waiting {
        loop {
            match step(db, dealership).await {
                Ok(more) => {
                    steps += 1;
                    if !more {
                        break;
                    }
                }
                Err(error @ Error::Unavailable(_)) => return Err(error),
                // Somebody is at it for long, perhaps with an import. Others are not to wait for that.
                Err(error) => {
                    tracing::warn!(%dealership, error = error_chain(&error), "leads are not counted this time; pages count them");
                    break;
                }
            }
        }
    }
    Ok(steps)
}

/// Goes on by some leads. Returns whether there may be more.
async fn step(db: &Db, dealership: DealershipId) -> Result<bool> {
    let mut tx = db.system().await?;
    // Later than all that is counted, so that each step gets ahead, however many came in at the same instant.
    let until: Option<DateTime<Utc>> = sqlx::query_scalar(
        "-- leads::count
         SELECT created_at FROM leads
         WHERE dealership_id = $1 AND created_at > (SELECT leads_counted_before FROM dealerships WHERE id = $1)
           AND created_at < now() - interval '1 day'
         ORDER BY created_at OFFSET $2 LIMIT 1",
    )
    .bind(dealership)
    .bind(STEP)
    .fetch_optional(tx.conn())
    .await?;
    tx.conn().execute(LIMIT_STATEMENTS).await?;
    // A transaction that adds a lead holds a weaker lock on this row, by its foreign key, until the lead is there for everybody. So
    // nobody is about to add one that would not be counted; the lock comes first, that the count sees all who were.
    let lock = "-- leads::count
                SELECT FROM dealerships WHERE id = $1 FOR UPDATE";
    sqlx::query(lock).bind(dealership).execute(tx.conn()).await?;
    sqlx::query(
        "-- leads::count
         UPDATE dealerships d SET leads_counted_before = until,
           leads_counted = leads_counted + (SELECT count(*) FROM leads WHERE dealership_id = $1
                                              AND created_at >= d.leads_counted_before AND created_at < until)
         FROM (SELECT coalesce($2, now() - interval '1 day') AS until) place
         WHERE id = $1 AND leads_counted_before < until",
    )
    .bind(dealership)
    .bind(until)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(until.is_some())
}
