//! The schema is brought up to date while others work, and again after it failed halfway.

use std::time::Duration;

use common::db::{DatabaseUrl, migrate};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::cluster::{TestDatabase, database};
use tokio::time::timeout;

/// Files that make an index and drop one, neither in a transaction.
const MAKES: (i64, &str) = (20_261_130_003_002, "outbox_newest_texts");
const DROPS: (i64, &str) = (20_261_130_003_003, "outbox_texts");
/// More than a statement in a transaction waits for a lock.
const PATIENT: Duration = Duration::from_secs(6);

/// As if these had not been recorded.
async fn forget(conn: &mut PgConnection, versions: &[i64]) {
    let forget = sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ANY($1)");
    assert_eq!(forget.bind(versions).execute(conn).await.expect("it is done").rows_affected(), versions.len() as u64);
}

/// What was applied.
async fn migrated(database: &TestDatabase) -> Vec<i64> {
    let url: DatabaseUrl = database.url.parse().expect("a valid URL");
    migrate(&url).await.expect("it can be migrated").into_iter().map(|migration| migration.version).collect()
}

async fn is_valid(conn: &mut PgConnection, index: &str) -> Option<bool> {
    let valid = sqlx::query_scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)");
    valid.bind(index).fetch_optional(conn).await.expect("a valid statement")
}

#[tokio::test]
async fn an_index_waits_for_older_transactions_however_long_they_take() {
    let database = database().await;
    let mut conn = database.connect().await;
    forget(&mut conn, &[MAKES.0]).await;
    conn.execute(AssertSqlSafe(format!("DROP INDEX {}", MAKES.1))).await.expect("it is there");
    let mut dump = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.expect("it begins");
    dump.execute("SELECT count(*) FROM leads").await.expect("it has a snapshot now");
    let mut migrating = Box::pin(migrated(&database));
    assert!(timeout(PATIENT, &mut migrating).await.is_err(), "it waits");
    let mut other = database.connect().await;
    other.execute("DELETE FROM outbox").await.expect("nobody waits for it");
    dump.commit().await.expect("it ends");
    assert_eq!(migrating.await, [MAKES.0]);
    assert_eq!(is_valid(&mut other, MAKES.1).await, Some(true));
}

#[tokio::test]
async fn what_died_halfway_is_migrated_again() {
    let database = database().await;
    let mut conn = database.connect().await;
    // Before its success was recorded.
    forget(&mut conn, &[MAKES.0, DROPS.0]).await;
    assert_eq!(migrated(&database).await, [MAKES.0, DROPS.0]);
    // Before the index was ready.
    forget(&mut conn, &[MAKES.0, DROPS.0]).await;
    let unfinished = sqlx::query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)");
    unfinished.bind(MAKES.1).execute(&mut conn).await.expect("it is there");
    conn.execute(AssertSqlSafe(format!("CREATE INDEX {} ON outbox (recipient)", DROPS.1))).await.expect("it is made");
    assert_eq!(migrated(&database).await, [MAKES.0, DROPS.0]);
    assert_eq!(is_valid(&mut conn, MAKES.1).await, Some(true));
    assert_eq!(is_valid(&mut conn, DROPS.1).await, None);
}
