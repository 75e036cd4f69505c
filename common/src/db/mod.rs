//! The two doors to the database, and the only ones: a tenant transaction, which sees one dealership, and a system
//! transaction. The pool is private to this module; a query function takes the transaction it is meant for, so that
//! tenant code without a tenant does not compile.

mod access;
mod batches;
mod error;
mod isolation;
mod migrate;
mod readiness;
mod startup;
mod transaction;
mod url;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use access::{AccessError, Caller, Identity, Tenant};
pub use error::{Error, Result};
pub use isolation::IsolationError;
pub use migrate::{MigrateError, Migration, is_migrated, migrate, pending_migrations};
pub use readiness::{Readiness, ReadinessCheck};
pub use startup::NotUsable;
pub use transaction::{SystemTx, TenantTx};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};

use crate::{ids::DealershipId, queue::Waker};

/// How long a caller waits for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// No transaction stays open across a wait for anything but the database. Should one, the server ends it.
const NEVER_IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '30s'";
/// No request is worth a statement that takes longer.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// A handle to the database. Clones share one pool.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    options: PgConnectOptions,
    waker: Waker,
    /// How often no connection could be had in time.
    timeouts: Arc<AtomicU64>,
}

/// How the pool is used at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that somebody has.
    pub in_use: u32,
    /// Connections that wait for somebody.
    pub idle: u32,
    /// Connections that there may be.
    pub limit: u32,
    /// How often no connection could be had in time, since the start.
    pub timeouts: u64,
}

impl Db {
    /// Prepares a pool of at most `connections`. Connects when first used: a database that is down at start is an
    /// error of the first statement, not of this call. Needs a Tokio runtime.
    pub fn new(url: &DatabaseUrl, connections: u32, application: &str) -> Self {
        let options = url.options().application_name(application);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A ping before each use would cost a round trip; `begin` replaces a dead connection instead.
            .test_before_acquire(false)
            .connect_lazy_with(options.clone());
        Self { waker: Waker::start(pool.clone()), pool, options, timeouts: Arc::default() }
    }

    /// Opens the system door: all dealerships, the queue, the inbox and the mirror. For provisioning and operation,
    /// never for a request on behalf of a person.
    pub async fn system(&self) -> Result<SystemTx> {
        let begin = format!("BEGIN; SET LOCAL ROLE norvalt_system; {NEVER_IDLE}");
        Ok(SystemTx::new(self.begin(begin).await?, self.waker.clone()))
    }

    /// Opens the system door for work that is given up after `limit`. The server then ends a statement that still runs:
    /// else one that waits for a lock would keep its connection for as long as the lock is held.
    pub async fn system_within(&self, limit: Duration) -> Result<SystemTx> {
        let limit = limit.as_millis().max(1);
        let begin =
            format!("BEGIN; SET LOCAL ROLE norvalt_system; {NEVER_IDLE}; SET LOCAL statement_timeout = {limit}");
        Ok(SystemTx::new(self.begin(begin).await?, self.waker.clone()))
    }

    /// Opens the tenant door: one dealership's rows and nothing else, for as long as the transaction lasts.
    pub async fn tenant(&self, dealership: DealershipId) -> Result<TenantTx> {
        let begin = format!(
            "BEGIN; SET LOCAL ROLE norvalt_tenant; SET LOCAL app.current_dealership_id = '{dealership}'; {NEVER_IDLE}"
        );
        Ok(TenantTx::new(self.begin(begin).await?, dealership))
    }

    /// Waits until what was committed has been announced to the workers, and closes all connections. A transaction that
    /// is still open somewhere is not waited for longer than a few seconds.
    pub async fn close(&self) {
        let closed = async {
            self.waker.flush().await;
            self.pool.close().await;
        };
        if tokio::time::timeout(ACQUIRE_TIMEOUT, closed).await.is_err() {
            tracing::warn!("closing without waiting for every connection");
        }
    }

    /// How the pool is used.
    pub fn pool_use(&self) -> PoolUse {
        let (open, idle) = (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX));
        PoolUse {
            // The two are not read at the same moment.
            in_use: open.saturating_sub(idle),
            idle,
            limit: self.pool.options().get_max_connections(),
            timeouts: self.timeouts.load(Ordering::Relaxed),
        }
    }

    /// Options for a connection outside the pool.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// In a task of its own: a caller who goes away while the answer is under way leaves a transaction that is rolled
    /// back, and not a connection that has one open without knowing.
    async fn begin(&self, statement: String) -> Result<Transaction<'static, Postgres>> {
        let begun = tokio::spawn(begin(self.pool.clone(), statement)).await;
        let begun = begun.unwrap_or_else(|_| Err(Error::Unavailable(sqlx::Error::WorkerCrashed)));
        if matches!(begun, Err(Error::Unavailable(sqlx::Error::PoolTimedOut))) {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        begun
    }
}

/// Begins with one round trip. After a restart of PostgreSQL every pooled connection is dead: each is found out here,
/// where nothing has been done yet and trying again is harmless.
async fn begin(pool: PgPool, statement: String) -> Result<Transaction<'static, Postgres>> {
    let mut replacements = pool.options().get_max_connections();
    loop {
        // Safe: the only variable parts are numbers and the canonical form of a UUID.
        match pool.begin_with(AssertSqlSafe(statement.clone())).await.map_err(Error::from) {
            Err(Error::Unavailable(cause)) if replacements > 0 && !is_exhausted(&cause) => replacements -= 1,
            outcome => return outcome,
        }
    }
}

/// No connection could be had at all: trying again at once would only wait again.
fn is_exhausted(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Io(io) => {
            matches!(io.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound)
        }
        _ => false,
    }
}
