use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{ConnectOptions, PgConnection, Row, postgres::PgConnectOptions, postgres::PgRow};
use tokio::sync::Mutex;

use super::{Result, pool::with_timeout};

/// How long a cancellation may take.
const TIME_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) pid: i32,
    /// Tells it from one of the server that has taken over, which may have the same number.
    pub(super) since: Option<DateTime<Utc>>,
}

impl Backend {
    /// What asks for it where it is always the same one.
    pub(super) const OWN: &str = "SELECT pid, backend_start FROM pg_stat_get_activity(pg_backend_pid())";
    /// What asks for it in a transaction: a dealership's may not know since when it has been there.
    pub(super) const OF_TRANSACTION: &str = "SELECT pg_backend_pid(), NULL::timestamptz";

    /// From the answer to either.
    pub(super) fn of(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { pid: row.try_get(0)?, since: row.try_get(1)? })
    }
}

/// Ends what nobody waits for any more, and asks whether what is waited for still runs, over one connection of its own: those of the pool are what is missing then. Takes no
/// role: PostgreSQL lets a login do this to what runs under the same login.
#[derive(Debug, Clone)]
pub(super) struct Canceller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: PgConnectOptions,
    idle: Mutex<Option<PgConnection>>,
}

const CANCEL: &str = "-- db::cancel
    SELECT pg_cancel_backend(pid) FROM pg_stat_get_activity($1) WHERE $2::timestamptz IS NULL OR backend_start = $2";
/// Since when another login's process is there is not shown to everybody.
const IS_THERE: &str = "-- db::vanished
    SELECT true FROM pg_stat_get_activity($1) WHERE coalesce(backend_start = $2, true)";
/// Waits until it is gone, for half a second at most. One that is a pooler's may be others' by now.
const TERMINATE: &str = "-- db::terminate
    SELECT pg_terminate_backend(pid, 500) FROM pg_stat_get_activity($1) WHERE backend_start = $2";

impl Canceller {
    /// Connects when first needed.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(Inner { options, idle: Mutex::default() }))
    }

    /// Interrupts what this backend runs now, if anything. Returns whether there is such a backend. Only for whoever holds its
    /// connection, until this returns: later it might be somebody else's statement.
    pub(super) async fn cancel(&self, backend: Backend) -> Result<bool> {
        Ok(self.run(CANCEL, backend).await?.is_some())
    }

    /// Whether there is this backend, or one that cannot be told from it. Only a new connection is believed that there is none:
    /// the other one may lead to the server from before a fail-over.
    pub(super) async fn is_there(&self, backend: Backend) -> Result<bool> {
        Ok(self.run_over_either(IS_THERE, backend, |there| there.is_some()).await?.is_some())
    }

    /// Ends this backend, and returns when it is gone.
    pub(super) async fn terminate(&self, backend: Backend) -> Result<()> {
        while self.run(TERMINATE, backend).await? == Some(false) {}
        Ok(())
    }

    async fn run(&self, statement: &'static str, backend: Backend) -> Result<Option<bool>> {
        self.run_over_either(statement, backend, |_| true).await
    }

    /// Over the connection that is there, if its answer is believed, and over a new one otherwise.
    async fn run_over_either(
        &self,
        statement: &'static str,
        backend: Backend,
        is_believed: fn(Option<bool>) -> bool,
    ) -> Result<Option<bool>> {
        let mut idle = self.0.idle.lock().await;
        if let Some(conn) = idle.take()
            && let Ok((conn, done)) = Self::run_over(conn, statement, backend).await
            && is_believed(done)
        {
            *idle = Some(conn);
            return Ok(done);
        }
        let conn = with_timeout(TIME_LIMIT, self.0.options.connect()).await?;
        let (conn, done) = Self::run_over(conn, statement, backend).await?;
        *idle = Some(conn);
        Ok(done)
    }

    async fn run_over(
        mut conn: PgConnection,
        statement: &'static str,
        Backend { pid, since }: Backend,
    ) -> Result<(PgConnection, Option<bool>)> {
        let statement = sqlx::query_scalar(statement).bind(pid).bind(since);
        let done = with_timeout(TIME_LIMIT, statement.fetch_optional(&mut conn)).await?;
        Ok((conn, done))
    }
}
