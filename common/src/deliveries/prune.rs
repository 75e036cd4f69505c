use std::time::Duration;

use crate::db::{Db, Result};

/// Erases the bodies of customers' deliveries that nobody has looked at within `age`, in short transactions of its own, and
/// returns how many: what somebody once wrote is not kept for good because it could not be read.
pub async fn forget_waiting(db: &Db, age: Duration) -> Result<u64> {
    db.delete_older(
        "-- deliveries::forget_waiting
         UPDATE deliveries SET body = NULL, opinion = NULL WHERE id = ANY (ARRAY (
           SELECT id FROM deliveries
           WHERE status IN ('parked', 'quarantined', 'dead') AND source <> 'clerk' AND body IS NOT NULL AND received_at < now() - $1
           ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))",
        age,
    )
    .await
}

/// Deletes deliveries that were processed or ignored longer ago than `age`, in short transactions of its own, and returns
/// how many. Those that a person is to look at are kept.
///
/// What they changed stays. They cannot be replayed; one that its source sends once more is processed once more, which is
/// harmless, since what it says is known.
pub async fn prune(db: &Db, age: Duration) -> Result<u64> {
    db.delete_older(
        "-- deliveries::prune
         WITH old AS MATERIALIZED (
           SELECT id FROM deliveries WHERE status IN ('processed', 'ignored') AND processed_at < now() - $1
           ORDER BY processed_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         DELETE FROM deliveries WHERE id = ANY (ARRAY (SELECT id FROM old))",
        age,
    )
    .await
}
