use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, Executor, postgres::PgRow};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Begin, Error, Found, Result,
    cancel::{Backend, Canceller},
    commits::Commits,
    lookup::Lookup,
    open_transaction::{Answer, OpenTransaction},
    opened::{Opened, Server},
    pooler::Pooling,
};
use crate::telemetry::error_chain;

/// How long somebody waits for a connection before the database counts as unavailable, and a connection for its server
/// to begin or to roll back before it counts as lost.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(3);
/// How long a statement that nobody waits for may still run before it is cancelled, and cancelled again: most end sooner.
const CANCEL_AFTER: Duration = Duration::from_millis(50);
const CANCEL_AGAIN_AFTER: Duration = Duration::from_secs(1);
const CANCELLATIONS: u32 = 3;
/// Longer than that no connection is kept that nobody needs: what is between may have forgotten it.
const IDLE: Duration = Duration::from_mins(10);

/// Connections to be shared. Every wait for the server has an end here. sqlx's own pool has none for the ping with which
/// it takes connections back: when a host vanishes without a word, as in a fail-over, none of those that were in use
/// comes back before the kernel has given up, a quarter of an hour later.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: Server,
    limit: u32,
    canceller: Canceller,
    found: Found,
    /// Unknown until somebody has looked.
    pooling: OnceLock<Pooling>,
    /// One for each connection that is in use.
    permits: Arc<Semaphore>,
    unused: Mutex<Unused>,
    /// Who waits for a permit, and how many will come back as soon as the server has rolled back.
    waiting: AtomicUsize,
    returning: AtomicUsize,
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

/// Connections that nobody uses.
#[derive(Debug, Default)]
struct Unused {
    /// With no transaction. The one that was used last comes last.
    idle: Vec<Idle>,
    /// With a transaction that changed nothing and is yet to be ended, by number. Each has its permit.
    left: VecDeque<(u64, OpenTransaction)>,
    next: u64,
}

#[derive(Debug)]
struct Idle {
    opened: Opened,
    since: Instant,
}

impl Pool {
    /// Connects when first used. Needs a Tokio runtime.
    pub(super) fn new(server: Server, limit: u32, canceller: Canceller, found: Found) -> Self {
        let permits = Arc::new(Semaphore::new(limit as usize));
        let (unused, pooling, waiting, returning, timeouts) = Default::default();
        Self(Arc::new(Shared {
            server,
            limit,
            canceller,
            found,
            pooling,
            permits,
            unused,
            waiting,
            returning,
            timeouts,
        }))
    }

    /// How it is used.
    pub(super) fn usage(&self) -> PoolUse {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PoolUse {
            in_use: self.0.limit.saturating_sub(number(self.0.permits.available_permits())),
            idle: number(self.lock().idle.len()),
            limit: self.0.limit,
            timeouts: self.0.timeouts.load(Ordering::Relaxed),
        }
    }

    /// Whether commits come through.
    pub(super) fn commits(&self) -> &Commits {
        &self.0.found.commits
    }

    /// What stands between this pool and the server. Until it is known, no statement is cancelled.
    pub(super) fn set_pooling(&self, pooling: Pooling) {
        // Whoever was first has looked at the same server.
        let _ = self.0.pooling.set(pooling);
    }

    /// Begins a transaction, in one round trip if there is an unused connection.
    pub(crate) async fn begin(&self, begin: &Begin) -> Result<OpenTransaction> {
        Ok(self.begin_with(begin, None).await?.0)
    }

    /// Begins a transaction and looks its caller up in it, in the same round trip where that can be.
    pub(super) async fn begin_for(
        &self,
        begin: &Begin,
        caller: &Lookup<'_>,
    ) -> Result<(OpenTransaction, Option<PgRow>)> {
        let (mut tx, answer) = self.begin_with(begin, Some(caller)).await?;
        let row = match answer {
            Answer::Caller(row) => row,
            Answer::NotAsked => caller.ask(tx.conn()).await?,
        };
        Ok((tx, row))
    }

    /// After a restart of PostgreSQL an unused connection is dead, and after a fail-over it may lead to a standby. Both are
    /// found out here, where nothing has been done yet and trying again is harmless.
    async fn begin_with(&self, begin: &Begin, caller: Option<&Lookup<'_>>) -> Result<(OpenTransaction, Answer)> {
        let mut tx = match self.left() {
            Some(left) => left,
            None => OpenTransaction::new(self.clone(), self.permit().await?, self.idle()),
        };
        if tx.has_connection() {
            match tx.begin(begin, caller).await {
                Ok(answer) => return Ok((tx, answer)),
                // The server is there, and another connection would make it no faster.
                Err(error) if error.means_too_slow() => return Err(error),
                // A standby, or a server that says nothing: the others lead there, too.
                Err(error) if error.means_standby() || error.code().is_none() => self.lock().idle.clear(),
                Err(_) => {}
            }
        }
        let permit = match tx.into_permit() {
            Some(permit) => permit,
            None => self.permit().await?,
        };
        let mut tx = self.connect(permit).await?;
        let answer = tx.begin(begin, caller).await?;
        Ok((tx, answer))
    }

    /// Waits until all connections have been given back, and closes them. There are none after that.
    pub(super) async fn close(&self) {
        // For good: what is left from now on ends.
        self.0.waiting.fetch_add(self.0.limit as usize, Ordering::Relaxed);
        // An error means that it was closed before.
        if let Ok(all) = self.0.permits.acquire_many(self.0.limit).await {
            all.forget();
            self.0.permits.close();
        }
        let idle = std::mem::take(&mut self.lock().idle);
        for Idle { opened, .. } in idle {
            // The server notices anyway.
            let _ = opened.conn.close().await;
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.0.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Counted::new(self, |shared| &shared.waiting);
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
    fn idle(&self) -> Option<Opened> {
        let mut unused = self.lock();
        unused.idle.retain(|idle| idle.since.elapsed() < IDLE);
        unused.idle.pop().map(|idle| idle.opened)
    }

    /// The transaction that was left for longest, unless others wait for its permit.
    fn left(&self) -> Option<OpenTransaction> {
        if self.0.waiting.load(Ordering::Relaxed) > self.0.returning.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().left.pop_front().map(|(_, tx)| tx)
    }

    /// Opens a connection in a task of its own, which goes on when its caller is gone: the permit is given back when there is
    /// no server process that nobody knows of.
    async fn connect(&self, permit: OwnedSemaphorePermit) -> Result<OpenTransaction> {
        let pool = self.clone();
        let opening = tokio::spawn(async move {
            let opened = pool.open().await?;
            Ok(OpenTransaction::new(pool, permit, Some(opened)))
        });
        opening.await.unwrap_or(Err(Error::Unavailable(sqlx::Error::WorkerCrashed)))
    }

    /// A new connection may lead to another database than the last one did, so it is asked whether that keeps dealerships
    /// apart.
    async fn open(&self) -> Result<Opened> {
        let until = Instant::now() + TIME_LIMIT;
        let opened = timeout_at(until, Opened::connect(&self.0.server, self.0.pooling.get().copied())).await;
        let mut opened = opened.map_err(|_| self.timed_out())?.map_err(Error::of_begin)?;
        let Ok(checked) = timeout_at(until, self.0.found.isolation.check(&mut opened)).await else {
            let backend = opened.session.backend();
            self.abandon(opened, backend).await;
            return Err(self.timed_out());
        };
        checked.map(|()| opened).map_err(Error::of_begin)
    }

    /// Takes back a connection that nothing is open on.
    pub(super) fn keep(&self, opened: Opened) {
        if !opened.is_old() {
            self.lock().idle.push(Idle { opened, since: Instant::now() });
        }
    }

    /// Leaves a transaction to whoever begins the next one, and ends it if nobody is about to.
    pub(super) fn leave(&self, tx: OpenTransaction, runtime: &Handle) {
        let number = {
            let mut unused = self.lock();
            unused.next += 1;
            let number = unused.next;
            unused.left.push_back((number, tx));
            number
        };
        let left = Left { pool: self.clone(), number };
        runtime.spawn(async move {
            // Requests that are ready to begin do so first.
            yield_now().await;
            drop(left);
        });
    }

    fn take(&self, number: u64) -> Option<OpenTransaction> {
        let mut unused = self.lock();
        let index = unused.left.iter().position(|(of, _)| *of == number)?;
        unused.left.remove(index).map(|(_, tx)| tx)
    }

    /// Rolls back in a task of its own. The permit is given back after that.
    pub(super) fn end(&self, opened: Opened, backend: Option<Backend>, permit: Option<OwnedSemaphorePermit>) {
        // Without a runtime there is no waiting, and the server notices the end of the connection.
        let Ok(runtime) = Handle::try_current() else { return };
        let (pool, returning) = (self.clone(), Counted::new(self, |shared| &shared.returning));
        runtime.spawn(async move {
            pool.roll_back(opened, backend, returning).await;
            drop(permit);
        });
    }

    /// Rolls back. Whoever had the connection may have gone away in the middle of a statement, which is cancelled: else hanging
    /// up and asking again would make the server work on and on for nobody. As long as the server answers, this
    /// takes as long as the statement does, so that there are never more statements than connections allowed. From a server
    /// that does not answer, nothing is waited for: the connection is closed.
    async fn roll_back(&self, mut opened: Opened, backend: Option<Backend>, returning: Counted) {
        let ended = {
            let mut rollback = pin!(opened.conn.execute("ROLLBACK"));
            let soon = timeout(CANCEL_AFTER, &mut rollback).await;
            // Whoever waits can no longer count on it.
            drop(returning);
            match (soon, backend) {
                (Ok(ended), _) => ended.is_ok(),
                (Err(_), None) => matches!(timeout(TIME_LIMIT, rollback).await, Ok(Ok(_))),
                (Err(_), Some(backend)) => self.interrupt(backend, rollback).await,
            }
        };
        if ended {
            self.keep(opened);
        }
    }

    /// Cancels what keeps a ROLLBACK waiting, and ends the server process if that is of no use. Returns whether the connection
    /// can be used again.
    async fn interrupt<T>(
        &self,
        backend: Backend,
        mut rollback: Pin<&mut impl Future<Output = sqlx::Result<T>>>,
    ) -> bool {
        for _ in 0..CANCELLATIONS {
            match self.0.canceller.cancel(backend).await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "cannot cancel a statement that nobody waits for");
                    // It may yet be carried out, on whatever runs then.
                    let _ = timeout(TIME_LIMIT, rollback).await;
                    return false;
                }
            }
            if let Ok(ended) = timeout(CANCEL_AGAIN_AFTER, rollback.as_mut()).await {
                return ended.is_ok();
            }
        }
        self.terminate(backend).await;
        false
    }

    /// Closes a connection whose server has not answered in time. As long as the server answers others, this takes until the
    /// process that is behind it is gone.
    pub(super) async fn abandon(&self, opened: Opened, backend: Option<Backend>) {
        if let Some(backend) = backend {
            self.terminate(backend).await;
        }
        drop(opened);
    }

    async fn terminate(&self, backend: Backend) {
        if let Err(error) = self.0.canceller.terminate(backend).await {
            tracing::warn!(error = error_chain(&error), "cannot end a server process that does not answer");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Unused> {
        // Whole also after a panic: nothing is done in several steps.
        self.0.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that was left, until somebody takes it. Ends it when dropped, be it by a runtime that shuts down.
struct Left {
    pool: Pool,
    number: u64,
}

impl Drop for Left {
    fn drop(&mut self) {
        drop(self.pool.take(self.number));
    }
}

/// Counts as one until it is dropped.
struct Counted {
    pool: Pool,
    which: fn(&Shared) -> &AtomicUsize,
}

impl Counted {
    fn new(pool: &Pool, which: fn(&Shared) -> &AtomicUsize) -> Self {
        which(&pool.0).fetch_add(1, Ordering::Relaxed);
        Self { pool: pool.clone(), which }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.which)(&self.pool.0).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for something that can hang with the network, but not forever.
pub(crate) async fn with_timeout<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    let timed_out = |_| Error::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    Ok(timeout(limit, work).await.map_err(timed_out)??)
}
