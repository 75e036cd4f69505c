use std::{
    io,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{Begin, Error, Result, cancel::Canceller, isolation::Isolation, pooler::Pooling};
use crate::telemetry::error_chain;

/// How long somebody waits for a connection before the database counts as unavailable, and a connection for its server
/// to begin or to roll back before it counts as lost.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(3);
/// How long a statement that nobody waits for may still run before it is cancelled, and cancelled again: most end sooner.
const CANCEL_AFTER: Duration = Duration::from_millis(50);
const CANCEL_AGAIN_AFTER: Duration = Duration::from_secs(1);
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
    limit: u32,
    canceller: Canceller,
    isolation: Isolation,
    /// Unknown until somebody has looked.
    pooling: OnceLock<Pooling>,
    /// One for each connection that is in use.
    permits: Arc<Semaphore>,
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

/// A connection and what is known of it.
#[derive(Debug)]
struct Opened {
    conn: PgConnection,
    at: Instant,
    /// The server process behind it, where that is always the same one.
    backend: Option<i32>,
}

#[derive(Debug)]
struct Idle {
    opened: Opened,
    since: Instant,
}

/// A connection with an open transaction. Dropping it without a commit rolls back.
#[derive(Debug)]
pub(crate) struct OpenTransaction {
    /// There from the beginning of the transaction until it is given back.
    opened: Option<Opened>,
    /// The server process that runs the transaction, if known.
    backend: Option<i32>,
    permit: Option<OwnedSemaphorePermit>,
    pool: Pool,
}

impl Pool {
    /// Connects when first used. Needs a Tokio runtime.
    pub(super) fn new(options: PgConnectOptions, limit: u32, canceller: Canceller, isolation: Isolation) -> Self {
        let permits = Arc::new(Semaphore::new(limit as usize));
        let (idle, timeouts, pooling) = Default::default();
        Self(Arc::new(Shared { options, limit, canceller, isolation, pooling, permits, idle, timeouts }))
    }

    /// How it is used.
    pub(super) fn usage(&self) -> PoolUse {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PoolUse {
            in_use: self.0.limit.saturating_sub(number(self.0.permits.available_permits())),
            idle: number(self.lock().len()),
            limit: self.0.limit,
            timeouts: self.0.timeouts.load(Ordering::Relaxed),
        }
    }

    /// What stands between this pool and the server. Until it is known, no statement is cancelled.
    pub(super) fn set_pooling(&self, pooling: Pooling) {
        // Whoever was first has looked at the same server.
        let _ = self.0.pooling.set(pooling);
    }

    /// Begins a transaction, in one round trip if there is an idle connection. After a restart of PostgreSQL that one is dead,
    /// and after a fail-over it may lead to a standby. Both are found out here, where nothing has been done yet and trying
    /// again is harmless.
    pub(crate) async fn begin(&self, begin: &Begin) -> Result<OpenTransaction> {
        let mut tx =
            OpenTransaction { opened: None, backend: None, permit: Some(self.permit().await?), pool: self.clone() };
        if let Some(idle) = self.idle() {
            tx.opened = Some(idle.opened);
            match tx.begin(begin).await {
                Ok(()) => return Ok(tx),
                // The others lead there, too.
                Err(error) if error.means_standby() => self.lock().clear(),
                Err(_) => {}
            }
        }
        let connected = timeout(TIME_LIMIT, Box::pin(self.connect())).await.map_err(|_| self.timed_out())?;
        let connected = connected.map_err(Error::of_begin)?;
        tx.opened = Some(connected);
        tx.begin(begin).await?;
        Ok(tx)
    }

    /// Waits until all connections have been given back, and closes them. There are none after that.
    pub(super) async fn close(&self) {
        // An error means that it was closed before.
        if let Ok(all) = self.0.permits.acquire_many(self.0.limit).await {
            all.forget();
            self.0.permits.close();
        }
        let idle = std::mem::take(&mut *self.lock());
        for Idle { opened, .. } in idle {
            // The server notices anyway.
            let _ = opened.conn.close().await;
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        match timeout(TIME_LIMIT, self.0.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
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

    /// Says nothing to the server: behind a pooler, it would be said to a connection that others use next. A new connection may
    /// lead to another database than the last one did, so it is asked whether that keeps dealerships apart.
    async fn connect(&self) -> sqlx::Result<Opened> {
        let mut conn = loop {
            match self.0.options.connect().await {
                Err(error) if is_starting(&error) => sleep(STARTING).await,
                other => break other?,
            }
        };
        let backend = match self.0.pooling.get() {
            Some(Pooling::Session) => {
                let ask = format!("{}; SELECT pg_backend_pid(); COMMIT", Begin::anybody().as_str());
                let rows = sqlx::raw_sql(AssertSqlSafe(ask)).fetch_all(&mut conn).await?;
                rows.first().map(|row| row.try_get(0)).transpose()?
            }
            Some(Pooling::Transaction) | None => None,
        };
        self.0.isolation.check(&mut conn).await?;
        Ok(Opened { conn, at: Instant::now(), backend })
    }

    /// Takes back a connection that nothing is open on.
    fn keep(&self, opened: Opened) {
        if opened.at.elapsed() < LIFETIME {
            self.lock().push(Idle { opened, since: Instant::now() });
        }
    }

    /// Rolls back. Whoever had the connection may have gone away in the middle of a statement, which is cancelled: else hanging
    /// up and asking again would make the server work for ever more that nobody waits for. As long as the server answers, this
    /// takes as long as the statement does, so that there are never more statements than connections allowed. From a server
    /// that does not answer, nothing is waited for: the connection is closed.
    async fn roll_back(&self, mut opened: Opened, backend: Option<i32>) {
        let ended = {
            let mut rollback = pin!(opened.conn.execute("ROLLBACK"));
            match (timeout(CANCEL_AFTER, &mut rollback).await, backend) {
                (Ok(ended), _) => ended.is_ok(),
                (Err(_), None) => matches!(timeout(TIME_LIMIT, rollback).await, Ok(Ok(_))),
                (Err(_), Some(backend)) => loop {
                    match self.0.canceller.cancel(backend).await {
                        Ok(true) => {}
                        Ok(false) => break false,
                        Err(error) => {
                            tracing::warn!(
                                error = error_chain(&error),
                                "cannot cancel a statement that nobody waits for"
                            );
                            break matches!(timeout(TIME_LIMIT, rollback).await, Ok(Ok(_)));
                        }
                    }
                    if let Ok(ended) = timeout(CANCEL_AGAIN_AFTER, &mut rollback).await {
                        break ended.is_ok();
                    }
                },
            }
        };
        if ended {
            self.keep(opened);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Whole also after a panic: nothing is done in several steps.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenTransaction {
    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.opened.as_mut().expect("a transaction that did not begin is never handed out").conn
    }

    /// Whoever goes away meanwhile leaves a transaction that is rolled back. After an error the connection is thrown away:
    /// nobody knows what state it is in.
    async fn begin(&mut self, begin: &Begin) -> Result<()> {
        // Behind a transaction-mode pooler, each transaction may have another server process.
        let asks = matches!(self.pool.0.pooling.get(), Some(Pooling::Transaction));
        let statement =
            if asks { format!("{}; SELECT pg_backend_pid()", begin.as_str()) } else { begin.as_str().to_owned() };
        self.backend = self.opened.as_ref().and_then(|opened| opened.backend);
        let rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(self.conn());
        let rows =
            timeout(TIME_LIMIT, rows).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        match rows.map_err(Error::of_begin) {
            Ok(rows) => {
                if let Some(row) = rows.first() {
                    self.backend = Some(row.try_get(0)?);
                }
                Ok(())
            }
            Err(error) => {
                self.opened = None;
                Err(error)
            }
        }
    }

    /// Makes the changes durable.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        self.conn().execute("COMMIT").await?;
        if let Some(opened) = self.opened.take() {
            self.pool.keep(opened);
        }
        Ok(())
    }
}

impl Drop for OpenTransaction {
    /// Without a runtime there is no waiting, and the server notices the end of the connection.
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let (pool, backend, permit) = (self.pool.clone(), self.backend, self.permit.take());
            runtime.spawn(async move {
                pool.roll_back(opened, backend).await;
                drop(permit);
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
pub(crate) async fn with_timeout<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    let timed_out = |_| Error::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    Ok(timeout(limit, work).await.map_err(timed_out)??)
}
