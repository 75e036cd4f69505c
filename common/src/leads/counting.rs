//! Counting leads once instead of for each page: `docs/adr/0007-exact-totals.md`.

use std::time::Duration;

use crate::{
    db::{Db, Error, Result},
    ids::DealershipId,
};

/// A page counts fewer leads than these itself, and those of the last day.
const WORTHWHILE: i64 = 1_000;
/// How many are counted in one transaction, at most: as long as that takes, nobody adds a lead to the dealership.
const STEP: i64 = 50_000;

/// How long one transaction may wait for those who are adding leads, and count.
const LIMIT: Duration = Duration::from_secs(30);

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
    .await
    .map_err(Error::from)?;
    tx.commit().await?;
    let mut steps = 0;
    for dealership in waiting {
        while step(db, dealership).await? {
            steps += 1;
        }
    }
    Ok(steps)
}

/// Goes on by some leads. Returns whether there were any.
async fn step(db: &Db, dealership: DealershipId) -> Result<bool> {
    let mut tx = db.system_within(LIMIT).await?;
    // Whoever adds a lead holds a weaker lock on this row, by its foreign key, until the lead is there for everybody. So
    // nobody is about to add one that would not be counted; the lock comes first, that the count sees all who were.
    let lock = "-- leads::count
                SELECT FROM dealerships WHERE id = $1 FOR UPDATE";
    sqlx::query(lock).bind(dealership).execute(tx.conn()).await.map_err(Error::from)?;
    let counted = sqlx::query(
        "-- leads::count
         WITH place AS (
           SELECT coalesce(
             (SELECT created_at FROM leads WHERE dealership_id = $1 AND created_at > d.leads_counted_before
                AND created_at < now() - interval '1 day' ORDER BY created_at OFFSET $2 LIMIT 1),
             now() - interval '1 day') AS until
           FROM dealerships d WHERE id = $1),
         counted AS (
           SELECT until, (SELECT count(*) FROM leads WHERE dealership_id = $1 AND created_at >= d.leads_counted_before
                            AND created_at < until) AS leads
           FROM place, dealerships d WHERE d.id = $1)
         UPDATE dealerships SET leads_counted = leads_counted + leads, leads_counted_before = until
         FROM counted WHERE id = $1 AND leads > 0",
    )
    .bind(dealership)
    .bind(STEP)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    tx.commit().await?;
    Ok(counted.rows_affected() > 0)
}
