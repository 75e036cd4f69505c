use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};

use crate::db::{Db, Result, within};

/// How long connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer than the server we wait, so that it is the server that gives up: what we gave up on might yet commit.
const GRACE: Duration = Duration::from_secs(1);

/// A connection outside the pool: jobs that use the pool up must not keep leases from being renewed, nor requests that
/// do from being told whether the database is there. It opens when first used, and again after an error.
#[derive(Debug)]
pub struct QueueConnection {
    options: PgConnectOptions,
    limit: Duration,
    idle: Option<PgConnection>,
}

impl QueueConnection {
    /// Prepares a connection. `purpose` is its name in `pg_stat_activity`, `limit` how long a statement may take.
    pub fn new(db: &Db, purpose: &str, limit: Duration) -> Self {
        Self { options: named(db, purpose), limit, idle: None }
    }

    /// The connection. To be put back after success, and dropped otherwise: after an error, a time-out or a
    /// cancellation nobody knows what state it is in.
    pub(crate) async fn take(&mut self) -> Result<PgConnection> {
        match self.idle.take() {
            Some(conn) => Ok(conn),
            None => within(CONNECT_TIMEOUT, self.open()).await,
        }
    }

    pub(crate) fn put_back(&mut self, conn: PgConnection) {
        self.idle = Some(conn);
    }

    /// Waits for a statement for as long as one may take.
    pub(crate) async fn within_limit<T>(&self, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        within(self.limit + GRACE, statement).await
    }

    async fn open(&self) -> sqlx::Result<PgConnection> {
        let mut conn = self.options.connect().await?;
        // As statements, since poolers drop what is said when connecting. Safe: the only variable part is a number.
        // Plans are remembered from when the table was small, and there is an index for each statement: reading all of
        // the table would be slow from the next burst until it is analyzed, and compiling a plan takes longer than using it.
        let limit = self.limit.as_millis().max(1);
        let settings = format!(
            "SET ROLE norvalt_system; SET statement_timeout = {limit}; SET enable_seqscan = off; SET jit = off"
        );
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut conn).await?;
        Ok(conn)
    }
}

/// Options of a connection outside the pool that tells what it is for.
pub(super) fn named(db: &Db, purpose: &str) -> PgConnectOptions {
    let application = db.options().get_application_name().unwrap_or("norvalt");
    db.options().clone().application_name(&format!("{application} {purpose}"))
}
