use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqlSafeStr,
    migrate::{AppliedMigration, Migrate, MigrateError as SqlxMigrateError, Migration as File, Migrator},
};
use tokio::time::sleep;

use super::{Db, Result, url::DatabaseUrl};

/// How often to ask whether another one still migrates.
const POLL: Duration = Duration::from_millis(200);

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached.
    #[error("cannot connect to the database; check DATABASE_URL and that PostgreSQL is running")]
    Connect(#[source] sqlx::Error),
    /// The login role may not read `_sqlx_migrations`.
    #[error("cannot read which migrations were applied; use the role that migrates")]
    Unreadable(#[source] SqlxMigrateError),
    /// Names and messages could not be kept as they are written.
    #[error(
        "the encoding of the database is {0} and must be UTF8; make a new one: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// Nothing can be written to it.
    #[error("the server is a standby; give the address of the primary")]
    Standby,
    /// The tables are there, and not where they are looked for.
    #[error(
        "Norvalt's tables are in the schema {0} and must be in public; move them there: ALTER TABLE {0}.… SET SCHEMA public, \
         likewise the type {0}.job_state and the functions of triggers, and GRANT USAGE ON SCHEMA public TO norvalt_tenant, \
         norvalt_system"
    )]
    Elsewhere(String),
    /// The role may not make tables there.
    #[error(
        "the role that migrates may not create tables in the schema public; run as an administrator: GRANT CREATE ON SCHEMA public TO that role"
    )]
    NoCreate(#[source] SqlxMigrateError),
    /// The tables are those of a build from before the schema was first released.
    #[error(
        "the tables were made by a build from before the first release (migration {0}), which cannot be upgraded; \
         use a new database (in development: cargo dev --reset)"
    )]
    Unreleased(i64),
    /// An applied migration is not the one we know by that name.
    #[error("migration {0} was edited after it had been applied; restore the file (in development: cargo dev --reset)")]
    Edited(i64),
    /// A migration failed. It was rolled back; those before it stay.
    #[error("a migration failed and was rolled back")]
    Failed(#[source] SqlxMigrateError),
}

impl From<SqlxMigrateError> for MigrateError {
    fn from(error: SqlxMigrateError) -> Self {
        match error {
            SqlxMigrateError::VersionMismatch(version) => Self::Edited(version),
            error if error.to_string().contains("permission denied for schema public") => Self::NoCreate(error),
            other => Self::Failed(other),
        }
    }
}

/// A migration that has not been applied yet.
#[derive(Debug)]
pub struct Migration {
    /// `<timestamp>`, the first part of the file's name.
    pub version: i64,
    /// The second part of the file's name.
    pub description: String,
    pub sql: String,
}

/// Applies what is pending and returns what that was. Safe when two start at once: the second waits, and finds
/// nothing to do. What failed, or died halfway, is repeated.
pub async fn migrate(url: &DatabaseUrl) -> Result<Vec<Migration>, MigrateError> {
    let mut conn = connect(url).await?;
    wait_for_others(&mut conn).await?;
    refuse_unreleased(&mut conn).await?;
    let pending = pending(&mut conn).await?;
    for index in pending.iter().filter_map(|migration| made_concurrently(&migration.sql)) {
        drop_unfinished(&mut conn, index).await.map_err(MigrateError::Connect)?;
    }
    // A release that is rolled back finds a newer schema, which it can serve: its release step must not fail.
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().map(repeatable).collect());
    migrator.set_ignore_missing(true).set_locking(false).run_direct(None, &mut conn, false).await?;
    conn.close().await.map_err(MigrateError::Connect)?;
    Ok(pending)
}

/// A file as it is run. In a transaction, a statement that cannot get its lock within 5 s fails rather than queue up the whole
/// application. Without one, it stands in nobody's way, so it waits; and since it is recorded only afterwards, it may have happened.
fn repeatable(file: &File) -> File {
    let sql = file.sql.as_str();
    let sql = if file.no_tx {
        sql.replace("CREATE INDEX CONCURRENTLY ", "CREATE INDEX CONCURRENTLY IF NOT EXISTS ")
            .replace("DROP INDEX CONCURRENTLY ", "DROP INDEX CONCURRENTLY IF EXISTS ")
    } else {
        format!("SET LOCAL lock_timeout = '5s';\n{sql}")
    };
    File { sql: AssertSqlSafe(sql).into_sql_str(), ..file.clone() }
}

/// The index that a file makes without a transaction.
fn made_concurrently(sql: &str) -> Option<&str> {
    sql.split_once("CREATE INDEX CONCURRENTLY ")?.1.split_whitespace().next()
}

/// Drops what is left of an index that was being made when it failed: it is no use to anybody.
async fn drop_unfinished(conn: &mut PgConnection, index: &str) -> sqlx::Result<()> {
    let is_unfinished: bool = sqlx::query_scalar(
        "-- db::migrate\nSELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)",
    )
    .bind(index)
    .fetch_one(&mut *conn)
    .await?;
    if is_unfinished {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP INDEX CONCURRENTLY {index}"))).execute(conn).await?;
    }
    Ok(())
}

/// Waits for another one that migrates, however long that takes. Asking again instead of waiting in one statement: such a
/// statement has a snapshot, for the end of which CREATE INDEX CONCURRENTLY would wait.
async fn wait_for_others(conn: &mut PgConnection) -> Result<(), MigrateError> {
    loop {
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended('norvalt migrate', 0))");
        if lock.fetch_one(&mut *conn).await.map_err(MigrateError::Connect)? {
            return Ok(());
        }
        sleep(POLL).await;
    }
}

/// What [`migrate`] would apply now.
pub async fn pending_migrations(url: &DatabaseUrl) -> Result<Vec<Migration>, MigrateError> {
    let mut conn = connect(url).await?;
    refuse_unreleased(&mut conn).await?;
    pending(&mut conn).await
}

/// The history of the schema begins with the first migration: an older one is of another history.
async fn refuse_unreleased(conn: &mut PgConnection) -> Result<(), MigrateError> {
    let first = MIGRATOR.iter().map(|migration| migration.version).min().unwrap_or_default();
    match applied(conn).await?.iter().map(|migration| migration.version).min() {
        Some(oldest) if oldest < first => Err(MigrateError::Unreleased(oldest)),
        _ => Ok(()),
    }
}

/// Whether the schema is at least what this build needs. Newer is fine: migrations only ever add first.
pub async fn is_migrated(db: &Db) -> Result<bool> {
    let mut tx = db.system().await?;
    let is_migrated = sqlx::query_scalar(
        "-- db::is_migrated\nSELECT coalesce(max(version) >= $1, false) FROM _sqlx_migrations WHERE success",
    );
    Ok(is_migrated.bind(newest_migration()).fetch_one(tx.conn()).await?)
}

pub(super) fn newest_migration() -> Option<i64> {
    MIGRATOR.iter().map(|migration| migration.version).max()
}

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, MigrateError> {
    let options = url.direct_options().clone().application_name("norvalt migrate");
    let mut conn = PgConnection::connect_with(&options).await.map_err(MigrateError::Connect)?;
    // Whatever the database or the role has set.
    sqlx::raw_sql(
        "SET search_path = public, pg_temp; SET statement_timeout = 0; SET lock_timeout = 0; SET row_security = on;
         SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
         SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
    )
    .execute(&mut conn)
    .await
    .map_err(MigrateError::Connect)?;
    let (encoding, standby, elsewhere): (String, bool, Option<String>) = sqlx::query_as(
        "-- db::migrate
         SELECT current_setting('server_encoding'), pg_is_in_recovery(),
                (SELECT relnamespace::regnamespace::text FROM pg_class
                 WHERE relname = '_sqlx_migrations' AND relkind = 'r' AND to_regclass('public._sqlx_migrations') IS NULL
                   AND EXISTS (SELECT FROM pg_class d WHERE d.relname = 'dealerships' AND d.relnamespace = pg_class.relnamespace)
                 ORDER BY 1 LIMIT 1)",
    )
    .fetch_one(&mut conn)
    .await
    .map_err(MigrateError::Connect)?;
    if encoding != "UTF8" {
        return Err(MigrateError::Encoding(encoding));
    }
    if standby {
        return Err(MigrateError::Standby);
    }
    elsewhere.map_or(Ok(conn), |schema| Err(MigrateError::Elsewhere(schema)))
}

async fn applied(conn: &mut PgConnection) -> Result<Vec<AppliedMigration>, MigrateError> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await
        .map_err(MigrateError::Connect)?;
    if exists {
        conn.list_applied_migrations("_sqlx_migrations").await.map_err(MigrateError::Unreadable)
    } else {
        Ok(Vec::new())
    }
}

async fn pending(conn: &mut PgConnection) -> Result<Vec<Migration>, MigrateError> {
    let applied = applied(conn).await?;
    Ok(MIGRATOR
        .iter()
        .filter(|known| !applied.iter().any(|done| done.version == known.version))
        .map(|m| Migration {
            version: m.version,
            description: m.description.to_string(),
            sql: m.sql.as_str().to_owned(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_transaction_make_or_drop_one_index() {
        for file in MIGRATOR.iter().filter(|file| file.no_tx) {
            let sql = file.sql.as_str();
            let statement = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
            assert_eq!(statement.matches(';').count(), 1, "{sql}");
            let makes = statement.starts_with("CREATE INDEX CONCURRENTLY ");
            assert!(makes || statement.starts_with("DROP INDEX CONCURRENTLY "), "it cannot be repeated: {sql}");
            assert_eq!(made_concurrently(sql).is_some(), makes, "{sql}");
        }
    }
}
