use std::time::Duration;

use super::{Db, Result};

/// Rows deleted in one transaction, at most.
const BATCH: u32 = 500;

impl Db {
    /// Repeats a DELETE of at most `$2` rows that are older than `$1`, or an UPDATE that erases them, each time in a transaction
    /// of its own, until nothing is left to do. Returns how many rows there were.
    pub(crate) async fn delete_older(&self, statement: &'static str, age: Duration) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let mut tx = self.system().await?;
            let delete = sqlx::query(statement).bind(age).bind(i64::from(BATCH));
            let batch = delete.execute(tx.conn()).await?.rows_affected();
            tx.commit().await?;
            deleted += batch;
            if batch < u64::from(BATCH) {
                return Ok(deleted);
            }
        }
    }
}
