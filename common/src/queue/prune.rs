use std::time::Duration;

use crate::db::{Db, Result};

/// Deletes jobs that were done or cancelled longer ago than `age`, in short transactions of its own, and returns how
/// many. Dead jobs are kept.
pub async fn prune(db: &Db, age: Duration) -> Result<u64> {
    db.delete_older(
        "-- queue::prune
         WITH old AS MATERIALIZED (
           SELECT id FROM jobs WHERE state IN ('done', 'cancelled') AND finished_at < now() - $1
           ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         DELETE FROM jobs j USING old WHERE j.id = old.id",
        age,
    )
    .await
}
