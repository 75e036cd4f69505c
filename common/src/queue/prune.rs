use std::time::Duration;

use serde::Serialize;

use crate::db::{Db, Result, SystemTx};

/// Jobs that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Done or cancelled.
    Finished,
    /// Failed for good. Nothing but an operator deletes these.
    Dead,
}

/// Deletes jobs that have been over for longer than `age`, in short transactions of its own, and returns how many.
pub async fn prune(db: &Db, over: Over, age: Duration) -> Result<u64> {
    // The condition on the state is spelled out, for the planner to find its index.
    let statement = match over {
        Over::Finished => {
            "-- queue::prune
             WITH old AS MATERIALIZED (
               SELECT id FROM jobs WHERE state IN ('done', 'cancelled') AND finished_at < now() - $1
               ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)
             DELETE FROM jobs WHERE id = ANY (ARRAY (SELECT id FROM old))"
        }
        Over::Dead => {
            "-- queue::prune
             WITH old AS MATERIALIZED (
               SELECT id FROM jobs WHERE state = 'dead' AND finished_at < now() - $1
               ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)
             DELETE FROM jobs WHERE id = ANY (ARRAY (SELECT id FROM old))"
        }
    };
    db.delete_older(statement, age).await
}

/// How many jobs [`prune`] would delete.
pub async fn prunable(tx: &mut SystemTx, over: Over, age: Duration) -> Result<u64> {
    let statement = match over {
        Over::Finished => {
            "-- queue::prunable
             SELECT count(*) FROM jobs WHERE state IN ('done', 'cancelled') AND finished_at < now() - $1"
        }
        Over::Dead => {
            "-- queue::prunable
             SELECT count(*) FROM jobs WHERE state = 'dead' AND finished_at < now() - $1"
        }
    };
    let count: i64 = sqlx::query_scalar(statement).bind(age).fetch_one(tx.conn()).await?;
    Ok(count.unsigned_abs())
}
