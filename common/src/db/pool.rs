use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{Error, Result};

/// How long somebody waits for a connection before the database counts as unavailable, and a connection for its server
/// to begin or to roll back before it counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Between attempts to connect to a server that is starting.
const STARTING: Duration = Duration::from_millis(50);
/// Longer than that no connection is kept that nobody needs: what is between may have forgotten it.
const IDLE: Duration = Duration::from_mins(10);
/// Nor one for longer than that: the name of the host may mean another one by now.
const LIFETIME: Duration = Duration::from_mins(30);

/// Connections to be shared. Every wait for the server has an end here. sqlx's own pool has none for the ping with which
/// it takes connections back: when a host vanishes without a word, as in a fail-over, none of those that were in use
/// comes back before the kernel has given up, a quarter of an hour later.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: PgConnectOptions,
    settings: String,
    limit: u32,
    /// One for each connection that is in use.
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    timeouts: AtomicU64,
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

#[derive(Debug)]
struct Idle {
    conn: PgConnection,
    opened: Instant,
    since: Instant,
}

/// A connection with an open transaction. Dropping it without a commit rolls back.
#[derive(Debug)]
pub(crate) struct Begun {
    /// There from the beginning of the transaction until it is given back.
    conn: Option<PgConnection>,
    opened: Instant,
    place: Option<OwnedSemaphorePermit>,
    pool: Pool,
}

impl Pool {
    /// Connects when first used, and then says these settings. Needs a Tokio runtime.
    pub(super) fn new(options: PgConnectOptions, settings: String, limit: u32) -> Self {
        let places = Arc::new(Semaphore::new(limit as usize));
        let (idle, timeouts) = Default::default();
        Self(Arc::new(Shared { options, settings, limit, places, idle, timeouts }))
    }

    /// How it connects.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.0.options
    }

    /// How it is used.
    pub(super) fn usage(&self) -> PoolUse {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PoolUse {
            in_use: self.0.limit.saturating_sub(number(self.0.places.available_permits())),
            idle: number(self.lock().len()),
            limit: self.0.limit,
            timeouts: self.0.timeouts.load(Ordering::Relaxed),
        }
    }

    /// Begins a transaction with this statement, in one round trip if there is an idle connection. After a restart of
    /// PostgreSQL that one is dead, which is found out here, where nothing has been done yet and trying again is harmless.
    pub(crate) async fn begin(&self, statement: &str) -> Result<Begun> {
        let mut begun =
            Begun { conn: None, opened: Instant::now(), place: Some(self.place().await?), pool: self.clone() };
        if let Some(Idle { conn, opened, .. }) = self.idle() {
            (begun.conn, begun.opened) = (Some(conn), opened);
            if begun.begin(statement).await.is_ok() {
                return Ok(begun);
            }
        }
        let conn = timeout(PATIENCE, self.connect()).await.map_err(|_| self.timed_out())??;
        begun.conn = Some(conn);
        begun.opened = Instant::now();
        begun.begin(statement).await?;
        Ok(begun)
    }

    /// Waits until all connections have been given back, and closes them. There are none after that.
    pub(super) async fn close(&self) {
        // An error means that it was closed before.
        if let Ok(all) = self.0.places.acquire_many(self.0.limit).await {
            all.forget();
            self.0.places.close();
        }
        let idle = std::mem::take(&mut *self.lock());
        for Idle { conn, .. } in idle {
            // The server notices anyway.
            let _ = conn.close().await;
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        match timeout(PATIENCE, self.0.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::Unavailable(sqlx::Error::PoolClosed)),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> Error {
        self.0.timeouts.fetch_add(1, Ordering::Relaxed);
        Error::Unavailable(sqlx::Error::PoolTimedOut)
    }

    /// The connection that was used last, so that superfluous ones grow old.
    fn idle(&self) -> Option<Idle> {
        let mut idle = self.lock();
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        idle.pop()
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        loop {
            match self.0.options.connect().await {
                Err(error) if is_starting(&error) => sleep(STARTING).await,
                Err(error) => return Err(error),
                Ok(mut conn) => {
                    // As statements, since poolers drop what is said when connecting.
                    sqlx::raw_sql(AssertSqlSafe(self.0.settings.as_str())).execute(&mut conn).await?;
                    return Ok(conn);
                }
            }
        }
    }

    /// Takes back a connection that nothing is open on.
    fn keep(&self, conn: PgConnection, opened: Instant) {
        if opened.elapsed() < LIFETIME {
            self.lock().push(Idle { conn, opened, since: Instant::now() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Whole also after a panic: nothing is done in several steps.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    pub(super) fn conn(&mut self) -> &mut PgConnection {
        self.conn.as_mut().expect("a transaction that did not begin is never handed out")
    }

    /// Whoever goes away meanwhile leaves a transaction that is rolled back. After an error the connection is thrown away:
    /// nobody knows what state it is in.
    async fn begin(&mut self, statement: &str) -> Result<()> {
        // Safe: the only variable parts are numbers and the canonical form of a UUID.
        let begun = within(PATIENCE, self.conn().execute(AssertSqlSafe(statement.to_owned()))).await;
        if begun.is_err() {
            self.conn = None;
        }
        begun.map(|_| ())
    }

    /// Makes the changes durable.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        self.conn().execute("COMMIT").await?;
        if let Some(conn) = self.conn.take() {
            self.pool.keep(conn, self.opened);
        }
        Ok(())
    }
}

impl Drop for Begun {
    /// Somebody may have gone away in the middle of a statement: its answer is waited for, but not for ever. Without a
    /// runtime there is no waiting, and the server notices the end of the connection.
    fn drop(&mut self) {
        if let Some(mut conn) = self.conn.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let (pool, opened, place) = (self.pool.clone(), self.opened, self.place.take());
            runtime.spawn(async move {
                if let Ok(Ok(_)) = timeout(PATIENCE, conn.execute("ROLLBACK")).await {
                    pool.keep(conn, opened);
                }
                drop(place);
            });
        }
    }
}

/// Whether a server that refuses may be about to start, or to have room.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        // cannot_connect_now, too_many_connections
        sqlx::Error::Database(refusal) => matches!(refusal.code().as_deref(), Some("57P03" | "53300")),
        _ => false,
    }
}

/// Waits for something that can hang with the network, but not for ever.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    let timed_out = |_| Error::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    Ok(timeout(limit, work).await.map_err(timed_out)??)
}
