use std::io;

use sqlx::{AssertSqlSafe, Executor, PgConnection, postgres::PgRow};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Begin, Error, Result,
    cancel::Backend,
    lookup::Lookup,
    opened::Opened,
    pool::{Pool, TIME_LIMIT},
    vanished::Noted,
};

/// A connection with an open transaction. Dropping it without a commit rolls back.
#[derive(Debug)]
pub(crate) struct OpenTransaction {
    /// There from the beginning of the transaction until it is given back.
    opened: Option<Opened>,
    /// Whether a transaction has begun, or is about to.
    begun: bool,
    /// The server process that runs the transaction, if known.
    backend: Option<Backend>,
    noted: Option<Noted>,
    permit: Option<OwnedSemaphorePermit>,
    pool: Pool,
}

/// What the message that began a transaction brought back.
#[derive(Debug)]
pub(super) enum Answer {
    /// Who the caller is, if anybody.
    Caller(Option<PgRow>),
    /// Nobody was looked up in it.
    NotAsked,
}

impl OpenTransaction {
    /// Not begun yet, and with no connection perhaps.
    pub(super) fn new(pool: Pool, permit: OwnedSemaphorePermit, opened: Option<Opened>) -> Self {
        Self { opened, begun: false, backend: None, noted: None, permit: Some(permit), pool }
    }

    pub(super) fn has_connection(&self) -> bool {
        self.opened.is_some()
    }

    /// The permit, unless it is needed until a connection is closed.
    pub(super) fn into_permit(mut self) -> Option<OwnedSemaphorePermit> {
        self.permit.take()
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.opened.as_mut().expect(BEGUN).conn
    }

    /// Ends the one before, if that was left, and begins. Whoever goes away meanwhile leaves a transaction that is rolled
    /// back. So does one that was taking too long for the server. After other errors the connection is thrown away: nobody
    /// knows what state it is in.
    pub(super) async fn begin(&mut self, begin: &Begin, caller: Option<&Lookup<'_>>) -> Result<Answer> {
        let opened = self.opened.as_mut().expect(BEGUN);
        let mut message = if self.begun { "ROLLBACK; ".to_owned() } else { String::new() };
        let joined = caller.and_then(|caller| Some(caller.joined(opened.session.lookup()?)));
        message += &begin.over(&opened.session, joined.as_deref());
        let asks_backend = opened.session.asks_backend();
        if let Some(asks) = asks_backend {
            message.extend(["; ", asks]);
        }
        self.begun = true;
        self.backend = opened.session.backend();
        // Safe: so is each of its parts.
        let answer = sqlx::raw_sql(AssertSqlSafe(message)).fetch_all(&mut opened.conn);
        let mut rows = match timeout(TIME_LIMIT, answer).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                let error = Error::of_begin(error);
                if !error.means_too_slow() {
                    self.opened = None;
                }
                return Err(error);
            }
            Err(_) => {
                self.abandon();
                return Err(Error::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into()));
            }
        };
        if asks_backend.is_some() {
            self.backend = rows.first().and_then(|row| Backend::of(row).ok());
        }
        self.noted = Noted::new(self.backend);
        Ok(match opened.session.lookup() {
            Some(lookup) if joined.is_some() => {
                lookup.note();
                Answer::Caller(rows.pop())
            }
            _ => Answer::NotAsked,
        })
    }

    /// Makes the changes durable. While commits hang, nobody waits for one for long: it may yet take place.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        let pool = self.pool.clone();
        tokio::select! {
            biased;
            committed = self.conn().execute("COMMIT") => committed.map(drop)?,
            () = pool.commits().given_up() => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
        if let Some(opened) = self.opened.take() {
            self.pool.keep(opened);
        }
        Ok(())
    }

    /// Ends a transaction that changed nothing and whose last statement has been answered, at no cost if somebody else is about
    /// to begin: the next transaction's first message says it. Not behind a pooler: a connection that always has a transaction
    /// keeps a server process from all others there.
    pub(super) fn leave(mut self) {
        self.noted = None;
        if let Ok(runtime) = Handle::try_current()
            && self.opened.as_ref().is_some_and(|opened| opened.session.is_settled() && !opened.is_old())
        {
            self.pool.clone().leave(self, &runtime);
        }
    }

    /// Of a server that has not answered.
    fn abandon(&mut self) {
        if let Some(opened) = self.opened.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let (pool, backend, permit) = (self.pool.clone(), self.backend, self.permit.take());
            runtime.spawn(async move {
                pool.abandon(opened, backend).await;
                drop(permit);
            });
        }
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        match self.opened.take() {
            Some(opened) if self.begun => self.pool.end(opened, self.backend, self.permit.take()),
            Some(opened) => self.pool.keep(opened),
            None => {}
        }
    }
}

const BEGUN: &str = "a transaction that did not begin is never handed out";
