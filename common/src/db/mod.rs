//! The two doors to the database, and the only ones: a tenant transaction, which sees one dealership, and a system
//! transaction. The pool is private to this module; a query function takes the transaction it is meant for, so that
//! tenant code without a tenant does not compile.

mod access;
mod batches;
mod begin;
mod cancel;
mod commits;
mod dedicated_connection;
mod error;
mod isolation;
mod lookup;
mod migrate;
mod notifier;
mod open_transaction;
mod opened;
mod pool;
mod pooler;
mod readiness;
mod replica;
mod server;
mod session;
mod startup;
mod transaction;
mod url;
mod vanished;

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgRow};
use tokio::task::JoinSet;

pub use access::{AccessError, Caller, EnteredSource, Identity, Tenant, find_source};
pub(crate) use begin::Begin;
pub(crate) use dedicated_connection::CONNECT_TIMEOUT;
pub use dedicated_connection::DedicatedConnection;
pub(crate) use error::moving;
pub use error::{Error, Result};
pub use isolation::IsolationError;
pub use migrate::{MigrateError, Migration, is_migrated, migrate, pending_migrations};
pub(crate) use notifier::{CHANNEL, QUEUES};
pub use pool::PoolUse;
pub(crate) use pool::{Pool, with_timeout};
pub use pooler::UnusablePooler;
pub use readiness::{Readiness, ReadinessCheck};
pub use replica::{Replica, SkipReason, UnusableReplica};
pub use server::{Durability, durability, login_inherits, server_version};
pub use startup::NotUsable;
pub(crate) use startup::until_there;
pub use transaction::{Elevated, Inner, JobTx, SystemTx, TenantTx, Transaction};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};
pub use vanished::watched;

use self::{
    cancel::Canceller,
    commits::Commits,
    isolation::{INTERVAL, Isolation, keep_looking},
    lookup::Lookup,
    notifier::Notifier,
    opened::Server,
    pool::TIME_LIMIT,
    session::Access,
};
use crate::ids::DealershipId;

/// No transaction stays open across a wait for anything but the database. Should one, the server ends it after this time.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to find out who asks. What keeps it waiting is no row but a change of the schema, and its end is
/// better waited for outside.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);
/// No request is worth a statement that takes longer: the server ends it.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// A handle to the database. Clones share one pool.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    notifier: Notifier,
    url: Arc<DatabaseUrl>,
    /// For connections outside the pool.
    direct: Arc<PgConnectOptions>,
    isolation: Isolation,
    commits: Commits,
    canceller: Canceller,
    /// Looks at the isolation from time to time; ends with the last clone.
    _looking: Arc<JoinSet<()>>,
}

/// What has been found out of the database.
#[derive(Debug)]
struct Found {
    isolation: Isolation,
    commits: Commits,
}

impl Db {
    /// Prepares a pool of at most `connections`. Connects when first used: a database that is down at start is an
    /// error of the first statement, not of this call. Needs a Tokio runtime.
    pub fn new(url: &DatabaseUrl, connections: u32, application: &str) -> Self {
        Self::open(url, connections, application, Access::ReadWrite, INTERVAL)
    }

    /// The same, which looks this often, and not once a minute, at whether dealerships are isolated from each other.
    pub fn looking_every(url: &DatabaseUrl, connections: u32, application: &str, every: Duration) -> Self {
        Self::open(url, connections, application, Access::ReadWrite, every)
    }

    /// The same for a standby: its transactions only read.
    pub fn of_standby(url: &DatabaseUrl, connections: u32, application: &str) -> Self {
        Self::open(url, connections, application, Access::ReadOnly, INTERVAL)
    }

    fn open(url: &DatabaseUrl, connections: u32, application: &str, access: Access, look_every: Duration) -> Self {
        let options = url.options().clone().application_name(application);
        let direct = url.direct_options().clone().application_name(application);
        let isolation = Isolation::unknown();
        let canceller = Canceller::new(named(&direct, "canceller"));
        let commits = Commits::unknown();
        let found = Found { isolation: isolation.clone(), commits: commits.clone() };
        let pool = Pool::new(Server { options, access }, connections, canceller.clone(), found);
        let mut looking = JoinSet::new();
        looking.spawn(keep_looking(isolation.clone(), pool.clone(), look_every));
        let notifier = Notifier::start(pool.clone());
        let (url, direct, looking) = (Arc::new(url.clone()), Arc::new(direct), Arc::new(looking));
        Self { notifier, pool, url, direct, isolation, commits, canceller, _looking: looking }
    }

    /// Opens the system door: all dealerships, the queue, deliveries and the mirror. For provisioning and operation,
    /// never for a request on behalf of a person. A statement may take as long as it needs.
    pub async fn system(&self) -> Result<SystemTx> {
        self.begin_system(Duration::ZERO).await
    }

    /// Opens the system door for a request.
    pub async fn system_for_request(&self) -> Result<SystemTx> {
        self.begin_system(REQUEST_LIMIT).await
    }

    /// Opens the system door for work that is given up after `limit`. The server then ends a statement that still runs:
    /// else one that waits for a lock would keep its connection for as long as the lock is held.
    pub async fn system_within(&self, limit: Duration) -> Result<SystemTx> {
        self.begin_system(limit.max(Duration::from_millis(1))).await
    }

    /// Opens the system door to the database as it is at this moment, however long reading takes. Nothing can be written.
    pub async fn snapshot(&self) -> Result<SystemTx> {
        Ok(SystemTx::new(self.pool.begin(&Begin::snapshot()).await?, self.notifier.clone()))
    }

    /// Opens the tenant door: one dealership's rows and nothing else, for as long as the transaction lasts. Closed while
    /// dealerships are not isolated from each other.
    pub async fn tenant(&self, dealership: DealershipId) -> Result<TenantTx> {
        self.begin_tenant(dealership, REQUEST_LIMIT).await
    }

    /// Opens the tenant door for a job that is given up after `limit`, as [`Db::system_within`] does. Whether the
    /// dealership is there and open is asked first.
    pub async fn tenant_for_job(&self, dealership: DealershipId, limit: Duration) -> Result<TenantForJob> {
        let mut tx = self.begin_tenant(dealership, limit.max(Duration::from_millis(1))).await?;
        let open: Option<bool> = sqlx::query_scalar(
            "-- db::tenant_for_job
             SELECT closed_at IS NULL FROM dealerships WHERE id = $1",
        )
        .bind(dealership)
        .fetch_optional(tx.conn())
        .await?;
        Ok(match open {
            Some(true) => TenantForJob::Open(tx),
            Some(false) => TenantForJob::Closed(tx),
            None => TenantForJob::Gone,
        })
    }

    /// Waits until what was committed has been announced to the workers, and closes all connections. A transaction that
    /// is still open somewhere is not waited for longer than a few seconds.
    pub async fn close(&self) {
        let closed = async {
            self.notifier.flush().await;
            self.pool.close().await;
        };
        if tokio::time::timeout(TIME_LIMIT, closed).await.is_err() {
            tracing::warn!("closing without waiting for every connection");
        }
    }

    /// How the pool is used.
    pub fn pool_use(&self) -> PoolUse {
        self.pool.usage()
    }

    /// How to connect outside the pool, under a name that says what for.
    pub(crate) fn direct_options(&self, purpose: &str) -> PgConnectOptions {
        named(&self.direct, purpose)
    }

    async fn begin_tenant(&self, dealership: DealershipId, limit: Duration) -> Result<TenantTx> {
        self.isolation.require()?;
        let tx = self.pool.begin(&Begin::tenant(dealership, limit)).await?;
        // The connection may have been a new one.
        self.isolation.require()?;
        Ok(TenantTx::new(tx, dealership, self.notifier.clone()))
    }

    /// For a request, whose caller is looked up.
    async fn begin_tenant_for(&self, caller: &Lookup<'_>) -> Result<(TenantTx, Option<PgRow>)> {
        self.isolation.require()?;
        let (tx, row) = self.pool.begin_for(&Begin::tenant(caller.dealership, REQUEST_LIMIT), caller).await?;
        self.isolation.require()?;
        Ok((TenantTx::new(tx, caller.dealership, self.notifier.clone()), row))
    }

    async fn begin_system(&self, limit: Duration) -> Result<SystemTx> {
        Ok(SystemTx::new(self.pool.begin(&Begin::system(limit)).await?, self.notifier.clone()))
    }
}

/// What a job finds behind its dealership's door.
#[derive(Debug)]
pub enum TenantForJob {
    Open(TenantTx),
    /// Nobody has access to the rows: its Clerk organization was deleted, or it is on its way to another server. What has begun
    /// before may still be written down.
    Closed(TenantTx),
    /// It was purged, or has not come to be yet.
    Gone,
}

fn named(options: &PgConnectOptions, purpose: &str) -> PgConnectOptions {
    let application = options.get_application_name().unwrap_or("norvalt");
    options.clone().application_name(&format!("{application} {purpose}"))
}
