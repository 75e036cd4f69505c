use super::DedicatedConnection;
use crate::db::Result;

impl DedicatedConnection {
    /// Makes scheduled and retryable jobs available whose time has come: up to `limit`, and returns how many. Until
    /// then they stay out of the index that claims read.
    pub async fn promote(&mut self, limit: u32) -> Result<u64> {
        let mut conn = self.take().await?;
        let promotion = sqlx::query(
            "-- queue::promote
             WITH due AS MATERIALIZED (
               SELECT id FROM jobs WHERE state IN ('scheduled', 'retryable') AND run_at <= now()
               ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED)
             UPDATE jobs SET state = 'available' WHERE id = ANY (ARRAY (SELECT id FROM due))",
        )
        .bind(i64::from(limit))
        .execute(&mut conn);
        let promoted = self.within_limit(promotion).await?.rows_affected();
        self.put_back(conn);
        Ok(promoted)
    }
}
