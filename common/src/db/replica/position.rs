//! How far a server is, asked once for all who want to know.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sqlx::{FromRow, postgres::PgRow};
use tokio::sync::Mutex;

use crate::db::{Db, DedicatedConnection, Error, Result};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(1);

/// What the primary has made durable. Its history has a number, which is another one after each fail-over.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct Written {
    pub(super) position: i64,
    pub(super) timeline: i32,
}

/// What the standby shows.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct Replayed {
    pub(super) position: i64,
    /// As of its latest restart point: after a fail-over, it is some minutes behind.
    pub(super) timeline: i32,
    pub(super) is_standby: bool,
    /// Seconds since the latest commit that it shows.
    pub(super) age: Option<f64>,
}

/// What no other server has: of a standby and its primary, it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(super) struct DatabaseIdentity {
    system: i64,
    database: i64,
}

/// A row that one statement gives.
pub(super) trait Answer: for<'r> FromRow<'r, PgRow> + Copy + Send + Unpin {
    const QUESTION: &'static str;
}

/// A commit is acknowledged once it is durable here, so what is written later was not acknowledged yet.
impl Answer for Written {
    const QUESTION: &'static str = "-- db::replica
        SELECT pg_wal_lsn_diff(p.flushed, '0/0')::bigint AS position,
               ('x' || left(pg_walfile_name(p.flushed), 8))::bit(32)::integer AS timeline
        FROM pg_current_wal_flush_lsn() AS p (flushed)";
}

impl Answer for Replayed {
    const QUESTION: &'static str = "-- db::replica
        SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0)::bigint AS position,
               (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline, pg_is_in_recovery() AS is_standby,
               extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS age";
}

impl Answer for DatabaseIdentity {
    const QUESTION: &'static str = "-- db::replica
        SELECT (SELECT system_identifier FROM pg_control_system()) AS system, oid::bigint AS database
        FROM pg_database WHERE datname = current_database()";
}

/// Asks one server over a connection of its own. However many want to know at once, it is asked once after the last of them
/// has come: what an answer says holds for everybody who came before it was asked.
#[derive(Debug)]
pub(super) struct Asker<T> {
    begun: AtomicU64,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    connection: DedicatedConnection,
    /// The latest answer and its number.
    last: Option<(u64, T)>,
}

impl<T: Answer> Asker<T> {
    /// Connects when first used.
    pub(super) fn new(db: &Db) -> Self {
        let connection = DedicatedConnection::new(db, "replica", LIMIT);
        Self { begun: AtomicU64::new(0), inner: Mutex::new(Inner { connection, last: None }) }
    }

    pub(super) async fn ask(&self) -> Result<T> {
        let come = self.begun.load(Ordering::SeqCst);
        let mut inner = self.inner.lock().await;
        if let Some((number, answer)) = inner.last.filter(|(number, _)| *number > come) {
            tracing::trace!(number, "asked by somebody else");
            return Ok(answer);
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = inner.question().await?;
        inner.last = Some((number, answer));
        Ok(answer)
    }

    /// Asks for something else, once.
    pub(super) async fn ask_for<A: Answer>(&self) -> Result<A> {
        self.inner.lock().await.question().await
    }
}

impl<T> Inner<T> {
    async fn question<A: Answer>(&mut self) -> Result<A> {
        let reused = self.connection.is_reused();
        match self.question_once().await {
            // Cut while nobody used it, which says nothing of the server.
            Err(Error::Unavailable(_)) if reused => self.question_once().await,
            answer => answer,
        }
    }

    async fn question_once<A: Answer>(&mut self) -> Result<A> {
        let mut conn = self.connection.take().await?;
        let question = sqlx::query_as(A::QUESTION).fetch_one(&mut conn);
        let answer = self.connection.within_limit(question).await?;
        self.connection.put_back(conn);
        Ok(answer)
    }
}
