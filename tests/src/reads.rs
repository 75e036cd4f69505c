//! What statements read, as PostgreSQL counts it.

use std::time::Duration;

use sqlx::PgConnection;

/// Blocks of a table that were touched so far, and how often it was read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Reads {
    /// Sequential scans.
    pub scans: i64,
    /// Blocks of the table.
    pub table: i64,
    /// Blocks of its indexes.
    pub indexes: i64,
}

impl Reads {
    /// What was read of this table so far.
    pub async fn of(connection: &mut PgConnection, table: &str) -> Self {
        sqlx::query_as(
            "SELECT t.seq_scan AS scans, io.heap_blks_read + io.heap_blks_hit AS \"table\",
                    io.idx_blks_read + io.idx_blks_hit AS indexes
             FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid) WHERE t.relname = $1",
        )
        .bind(table)
        .fetch_one(connection)
        .await
        .expect("the table is there")
    }

    /// What was read since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let Self { scans, table, indexes } = before;
        Self { scans: self.scans - scans, table: self.table - table, indexes: self.indexes - indexes }
    }
}

/// Waits until the backends of this name are gone: at the latest then they have said what they read.
pub async fn until_recorded(connection: &mut PgConnection, application: &str) {
    let gone =
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database())";
    while !sqlx::query_scalar::<_, bool>(gone)
        .bind(application)
        .fetch_one(&mut *connection)
        .await
        .expect("a valid statement")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
