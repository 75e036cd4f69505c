use std::{io, time::Duration};

use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::{
    Db, Error, Result,
    begin::{Knows, dedicated_session},
    cancel::{Backend, Canceller},
    with_timeout,
};
use crate::telemetry::error_chain;

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
    canceller: Canceller,
    /// The server process of the connection that was opened last.
    backend: Option<Backend>,
    idle: Option<PgConnection>,
}

impl DedicatedConnection {
    /// Prepares a connection. `purpose` is its name in `pg_stat_activity`, `limit` how long a statement may take.
    pub fn new(db: &Db, purpose: &str, limit: Duration) -> Self {
        let (options, canceller) = (db.direct_options(purpose), db.canceller.clone());
        Self { options, limit, canceller, backend: None, idle: None }
    }

    /// The connection. To be put back after success, and dropped otherwise: after an error, a time-out or a
    /// cancellation nobody knows what state it is in.
    pub(crate) async fn take(&mut self) -> Result<PgConnection> {
        if let Some(conn) = self.idle.take() {
            return Ok(conn);
        }
        let (conn, backend) = with_timeout(CONNECT_TIMEOUT, self.open()).await?;
        self.backend = Some(backend);
        Ok(conn)
    }

    /// Whether the next use may find out that the connection has been cut since the last one.
    pub(crate) fn is_reused(&self) -> bool {
        self.idle.is_some()
    }

    pub(crate) fn put_back(&mut self, conn: PgConnection) {
        self.idle = Some(conn);
    }

    /// Waits for a statement for as long as one may take. What the server has not ended by then is ended: a commit that a
    /// standby does not confirm would keep its server process, and there are not many.
    pub(crate) async fn within_limit<T>(&self, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        if let Ok(done) = timeout(self.limit + GRACE, statement).await {
            return Ok(done?);
        }
        self.end_backend();
        Err(Error::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    async fn open(&self) -> sqlx::Result<(PgConnection, Backend)> {
        let mut conn = self.options.connect().await?;
        let knows = Knows::of(conn.server_version_num());
        // In this order: the role that is taken may not know since when the process has been there.
        let settle = format!("{}; {}", Backend::OWN, dedicated_session(self.limit, knows));
        // Safe: the only variable part is a number.
        let rows = sqlx::raw_sql(AssertSqlSafe(settle)).fetch_all(&mut conn).await?;
        let backend = Backend::of(rows.first().ok_or(sqlx::Error::RowNotFound)?)?;
        Ok((conn, backend))
    }

    fn end_backend(&self) {
        let Some(backend) = self.backend else { return };
        let canceller = self.canceller.clone();
        tokio::spawn(async move {
            if let Err(error) = canceller.terminate(backend).await {
                tracing::warn!(error = error_chain(&error), "cannot end a server process that does not answer");
            }
        });
    }
}
