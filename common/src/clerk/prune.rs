use std::time::Duration;

use crate::db::{Db, Result};

/// Deletes events that were processed or ignored longer ago than `age`, in short transactions of its own, and returns how many.
/// Dead and quarantined ones are kept.
///
/// What they changed stays in the mirror, which also makes one that Svix sends once more harmless. They cannot be replayed.
pub async fn prune(db: &Db, age: Duration) -> Result<u64> {
    db.delete_older(
        "-- clerk::prune
         WITH old AS MATERIALIZED (
           SELECT id FROM clerk_events WHERE status IN ('processed', 'ignored') AND processed_at < now() - $1
           ORDER BY processed_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         DELETE FROM clerk_events WHERE id = ANY (ARRAY (SELECT id FROM old))",
        age,
    )
    .await
}
