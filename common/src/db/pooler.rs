//! What stands between us and PostgreSQL, found out by how it behaves: an address or a port says nothing of it.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{Error, Result, pool::with_timeout};

/// How long it may take to find out.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// For how long a connection has the same server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// As long as it is open: PostgreSQL itself, or a pooler in session mode.
    Session,
    /// For one transaction: a pooler in transaction mode.
    Transaction,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusablePooler {
    /// Statements that one transaction prepares are unknown to the next, or somebody else's.
    #[error(
        "DATABASE_URL leads through a transaction-mode pooler that loses prepared statements; use PgBouncer 1.21 or later with \
         max_prepared_statements above 0, or a pooler in session mode, or no pooler"
    )]
    NoPreparedStatements,
    /// Listening and the queue's connections need a session.
    #[error(
        "DATABASE_URL leads through a transaction-mode pooler; set DIRECT_DATABASE_URL to an address that leads to PostgreSQL \
         itself or through a pooler in session mode, for what a transaction cannot carry (LISTEN, migrations)"
    )]
    NoDirectUrl,
    /// The address that was given for it has none either.
    #[error(
        "DIRECT_DATABASE_URL leads through a transaction-mode pooler, too; it must lead to PostgreSQL itself or through a pooler \
         in session mode"
    )]
    DirectUrlIsPooled,
}

/// Finds out by two connections at once: each keeps its server process from one transaction to the next, or, in transaction
/// mode, gets the one that was free first or last.
pub(super) async fn recognise(options: &PgConnectOptions) -> Result<Result<Pooling, UnusablePooler>> {
    match with_timeout(TIME_LIMIT, ask(options)).await {
        Ok(answer) => Ok(answer),
        Err(error) if lost_a_prepared_statement(&error) => Ok(Err(UnusablePooler::NoPreparedStatements)),
        Err(error) => Err(error),
    }
}

/// Each connection prepares its own, under the same name: where names are lost, one is answered the other's.
const QUESTIONS: [&str; 2] = ["SELECT pg_backend_pid(), 0", "SELECT pg_backend_pid(), 1"];

async fn ask(options: &PgConnectOptions) -> sqlx::Result<Result<Pooling, UnusablePooler>> {
    let mut conns = [options.connect().await?, options.connect().await?];
    let mut known = [None; 2];
    let mut pooling = Pooling::Session;
    for order in [[0, 1], [0, 1], [1, 0], [1, 0]] {
        for which in order {
            conns[which].execute("BEGIN; SET LOCAL statement_timeout = 0").await?;
            let (backend, asked): (i32, i32) = sqlx::query_as(QUESTIONS[which]).fetch_one(&mut conns[which]).await?;
            if usize::try_from(asked) != Ok(which) {
                return Ok(Err(UnusablePooler::NoPreparedStatements));
            }
            if known[which].replace(backend).is_some_and(|before| before != backend) {
                pooling = Pooling::Transaction;
            }
        }
        for which in order {
            conns[which].execute("COMMIT").await?;
        }
    }
    for conn in conns {
        close(conn).await;
    }
    Ok(Ok(pooling))
}

async fn close(conn: PgConnection) {
    // The server notices anyway.
    let _ = conn.close().await;
}

/// `duplicate_prepared_statement`, `invalid_sql_statement_name`.
fn lost_a_prepared_statement(error: &Error) -> bool {
    matches!(error.code().as_deref(), Some("42P05" | "26000"))
}
