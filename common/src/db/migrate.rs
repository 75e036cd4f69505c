use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, MigrateError as SqlxMigrateError, Migrator},
};

use super::{Db, Result, url::DatabaseUrl};

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
    /// What would run.
    pub sql: String,
}

/// Applies what is pending and returns what that was. Safe when two start at once: the second waits, and finds
/// nothing to do. A statement that cannot get its lock within 5 s fails rather than queue up the whole application.
pub async fn migrate(url: &DatabaseUrl) -> Result<Vec<Migration>, MigrateError> {
    let mut conn = connect(url).await?;
    // Waits for another one that migrates, however long that takes; only then is waiting for a lock bounded.
    conn.lock().await?;
    sqlx::query("SET lock_timeout = '5s'").execute(&mut conn).await.map_err(MigrateError::Connect)?;
    let pending = pending(&mut conn).await?;
    // A release that is rolled back finds a newer schema, which it can serve: its release step must not fail.
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_ignore_missing(true).set_locking(false).run_direct(None, &mut conn, false).await?;
    conn.close().await.map_err(MigrateError::Connect)?;
    Ok(pending)
}

/// What [`migrate`] would apply now.
pub async fn pending_migrations(url: &DatabaseUrl) -> Result<Vec<Migration>, MigrateError> {
    pending(&mut connect(url).await?).await
}

/// Whether the schema is at least what this build needs. Newer is fine: migrations only ever add first.
pub async fn is_migrated(db: &Db) -> Result<bool> {
    let mut tx = db.system().await?;
    Ok(has_migrations(tx.conn()).await?)
}

pub(super) async fn has_migrations(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let applied: Option<i64> =
        sqlx::query_scalar("-- db::is_migrated\nSELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(conn)
            .await?;
    Ok(applied >= MIGRATOR.iter().map(|m| m.version).max())
}

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, MigrateError> {
    PgConnection::connect_with(&url.options().application_name("norvalt migrate")).await.map_err(MigrateError::Connect)
}

async fn pending(conn: &mut PgConnection) -> Result<Vec<Migration>, MigrateError> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await
        .map_err(MigrateError::Connect)?;
    let applied = if exists {
        conn.list_applied_migrations("_sqlx_migrations").await.map_err(MigrateError::Unreadable)?
    } else {
        Vec::new()
    };
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
