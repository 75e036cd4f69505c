//! The two doors to the database, and the only ones: a tenant transaction, which sees one dealership, and a system
//! transaction. The pool is private to this module; a query function takes the transaction it is meant for, so that
//! tenant code without a tenant does not compile.

mod access;
mod batches;
mod error;
mod isolation;
mod migrate;
mod pool;
mod readiness;
mod server;
mod startup;
mod transaction;
mod url;

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub use access::{AccessError, Caller, Identity, Tenant};
pub use error::{Error, Result};
pub use isolation::IsolationError;
pub use migrate::{MigrateError, Migration, is_migrated, migrate, pending_migrations};
pub use pool::PoolUse;
pub(crate) use pool::{Pool, within};
pub use readiness::{Readiness, ReadinessCheck};
pub use server::server_version;
pub use startup::NotUsable;
pub use transaction::{JobTx, SystemTx, TenantTx};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};

use self::pool::PATIENCE;
use crate::{ids::DealershipId, queue::Waker};

/// No transaction stays open across a wait for anything but the database. Should one, the server ends it after this time.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// No request is worth a statement that takes longer: the server ends it.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// A handle to the database. Clones share one pool.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    waker: Waker,
}

impl Db {
    /// Prepares a pool of at most `connections`. Connects when first used: a database that is down at start is an
    /// error of the first statement, not of this call. Needs a Tokio runtime.
    pub fn new(url: &DatabaseUrl, connections: u32, application: &str) -> Self {
        let options = url.options().application_name(application);
        let (statement, idle) = (REQUEST_LIMIT.as_millis(), IDLE_LIMIT.as_millis());
        // Whoever logs in may be allowed more: nothing runs as that role.
        let settings = format!(
            "SET ROLE norvalt_system; SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = {idle}"
        );
        let pool = Pool::new(options, settings, connections);
        Self { waker: Waker::start(pool.clone()), pool }
    }

    /// Opens the system door: all dealerships, the queue, the inbox and the mirror. For provisioning and operation,
    /// never for a request on behalf of a person. A statement may take as long as it needs.
    pub async fn system(&self) -> Result<SystemTx> {
        self.begin_system("BEGIN; SET LOCAL statement_timeout = 0").await
    }

    /// Opens the system door for a request.
    pub async fn system_for_request(&self) -> Result<SystemTx> {
        self.begin_system("BEGIN").await
    }

    /// Opens the system door for work that is given up after `limit`. The server then ends a statement that still runs:
    /// else one that waits for a lock would keep its connection for as long as the lock is held.
    pub async fn system_within(&self, limit: Duration) -> Result<SystemTx> {
        let limit = limit.as_millis().max(1);
        let begin = format!("BEGIN; SET LOCAL statement_timeout = {limit}");
        self.begin_system(&begin).await
    }

    /// Opens the tenant door: one dealership's rows and nothing else, for as long as the transaction lasts.
    pub async fn tenant(&self, dealership: DealershipId) -> Result<TenantTx> {
        let begin =
            format!("BEGIN; SET LOCAL ROLE norvalt_tenant; SET LOCAL app.current_dealership_id = '{dealership}'");
        Ok(TenantTx::new(self.pool.begin(&begin).await?, dealership, self.waker.clone()))
    }

    /// Opens the tenant door for a job that is given up after `limit`, as [`Db::system_within`] does. Whether the
    /// dealership is there and open is asked first.
    pub async fn tenant_for_job(&self, dealership: DealershipId, limit: Duration) -> Result<TenantForJob> {
        let limit = limit.as_millis().max(1);
        let begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {limit}; SET LOCAL ROLE norvalt_tenant; \
             SET LOCAL app.current_dealership_id = '{dealership}'"
        );
        let mut tx = TenantTx::new(self.pool.begin(&begin).await?, dealership, self.waker.clone());
        let open: Option<bool> = sqlx::query_scalar(
            "-- db::tenant_for_job
             SELECT closed_at IS NULL FROM dealerships WHERE id = $1",
        )
        .bind(dealership)
        .fetch_optional(tx.conn())
        .await?;
        Ok(match open {
            Some(true) => TenantForJob::Open(tx),
            Some(false) => TenantForJob::Closed,
            None => TenantForJob::Gone,
        })
    }

    /// Waits until what was committed has been announced to the workers, and closes all connections. A transaction that
    /// is still open somewhere is not waited for longer than a few seconds.
    pub async fn close(&self) {
        let closed = async {
            self.waker.flush().await;
            self.pool.close().await;
        };
        if tokio::time::timeout(PATIENCE, closed).await.is_err() {
            tracing::warn!("closing without waiting for every connection");
        }
    }

    /// How the pool is used.
    pub fn pool_use(&self) -> PoolUse {
        self.pool.usage()
    }

    /// Options for a connection outside the pool.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        self.pool.options()
    }

    async fn begin_system(&self, statement: &str) -> Result<SystemTx> {
        Ok(SystemTx::new(self.pool.begin(statement).await?, self.waker.clone()))
    }
}

/// What a job finds behind its dealership's door.
#[derive(Debug)]
pub enum TenantForJob {
    /// The dealership's rows.
    Open(TenantTx),
    /// Its Clerk organization was deleted: nobody has access to the rows.
    Closed,
    /// It was purged, or has not come to be yet.
    Gone,
}
