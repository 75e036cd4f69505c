use sqlx::FromRow;

use super::{Result, SystemTx};

/// The version of the server, such as `17.2`.
pub async fn server_version(tx: &mut SystemTx) -> Result<String> {
    Ok(sqlx::query_scalar("-- db::server_version\nSELECT split_part(current_setting('server_version'), ' ', 1)")
        .fetch_one(tx.conn())
        .await?)
}

/// Whether the role that logs in has the rights of ours without taking them, though it is no superuser: then a statement
/// outside of the two doors would see rows.
pub async fn login_inherits(tx: &mut SystemTx) -> Result<bool> {
    let inherits = sqlx::query_scalar(
        "-- db::login_inherits
         SELECT NOT rolsuper AND pg_has_role(oid, 'norvalt_system', 'USAGE') FROM pg_roles WHERE rolname = session_user",
    );
    Ok(inherits.fetch_one(tx.conn()).await?)
}

/// What a commit survives, as the server is set for whoever logs in.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Durability {
    /// Whether commits wait until they are on the disk here, at least.
    pub waits: bool,
    /// Whether the server writes to the disk at all: without, its data are to be thrown away.
    pub fsync: bool,
    /// What undoes it, where commits do not wait.
    remedy: String,
}

impl Durability {
    /// What is wrong, and what to do about it: a webhook that was acknowledged would be lost if the server crashed.
    pub fn problem(&self) -> Option<String> {
        (!self.waits && self.fsync).then(|| {
            format!(
                "synchronous_commit is off: what was acknowledged within the last second is lost when the server crashes; run as \
                 an administrator: {}, and restart the API and the workers",
                self.remedy
            )
        })
    }
}

/// What a commit survives.
pub async fn durability(tx: &mut SystemTx) -> Result<Durability> {
    Ok(sqlx::query_as(
        "-- db::durability
         SELECT c.setting <> 'off' AS waits, f.setting = 'on' AS fsync,
                CASE c.source
                  WHEN 'database' THEN format('ALTER DATABASE %I RESET synchronous_commit', current_database())
                  WHEN 'user' THEN format('ALTER ROLE %I RESET synchronous_commit', session_user)
                  WHEN 'database user' THEN format('ALTER ROLE %I IN DATABASE %I RESET synchronous_commit', session_user, current_database())
                  WHEN 'client' THEN 'take synchronous_commit out of the options of DATABASE_URL'
                  WHEN 'command line' THEN 'take synchronous_commit out of the options that the server is started with'
                  ELSE 'ALTER SYSTEM RESET synchronous_commit, or take it out of postgresql.conf, and SELECT pg_reload_conf()'
                END AS remedy
         FROM pg_settings c, pg_settings f WHERE c.name = 'synchronous_commit' AND f.name = 'fsync'",
    )
    .fetch_one(tx.conn())
    .await?)
}
