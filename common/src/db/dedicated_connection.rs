use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{Db, Result, begin::dedicated_session, with_timeout};

/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer than the server we wait, so that it is the server that gives up: what we gave up on might yet commit.
const GRACE: Duration = Duration::from_secs(1);

/// A connection outside the pool: jobs that use the pool up must not keep leases from being renewed, nor requests that
/// do from being told whether the database is there. It opens when first used, and again after an error, by the way that
/// `DIRECT_DATABASE_URL` names, since it says once what holds for all of its statements.
#[derive(Debug)]
pub struct DedicatedConnection {
    options: PgConnectOptions,
    limit: Duration,
    idle: Option<PgConnection>,
}

impl DedicatedConnection {
    /// Prepares a connection. `purpose` is its name in `pg_stat_activity`, `limit` how long a statement may take.
    pub fn new(db: &Db, purpose: &str, limit: Duration) -> Self {
        Self { options: db.direct_options(purpose), limit, idle: None }
    }

    /// The connection. To be put back after success, and dropped otherwise: after an error, a time-out or a
    /// cancellation nobody knows what state it is in.
    pub(crate) async fn take(&mut self) -> Result<PgConnection> {
        match self.idle.take() {
            Some(conn) => Ok(conn),
            None => with_timeout(CONNECT_TIMEOUT, self.open()).await,
        }
    }

    /// Whether the next use may find out that the connection has been cut since the last one.
    pub(crate) fn is_reused(&self) -> bool {
        self.idle.is_some()
    }

    pub(crate) fn put_back(&mut self, conn: PgConnection) {
        self.idle = Some(conn);
    }

    /// Waits for a statement for as long as one may take.
    pub(crate) async fn within_limit<T>(&self, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        with_timeout(self.limit + GRACE, statement).await
    }

    async fn open(&self) -> sqlx::Result<PgConnection> {
        let mut conn = self.options.connect().await?;
        // Safe: the only variable part is a number.
        sqlx::raw_sql(AssertSqlSafe(dedicated_session(self.limit))).execute(&mut conn).await?;
        Ok(conn)
    }
}
