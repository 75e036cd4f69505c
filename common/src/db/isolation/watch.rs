use std::{sync::Arc, time::Duration};

use sqlx::{Executor, PgConnection};
use tokio::{sync::watch, time::timeout};

use super::{IsolationError, problems_of};
use crate::{
    db::{Begin, Error, Pool, REQUEST_LIMIT, Result, opened::Opened},
    ids::DealershipId,
    telemetry::error_chain,
};

/// How often is looked: what a careless statement opened is closed to tenants after this time.
pub(in crate::db) const INTERVAL: Duration = Duration::from_mins(1);
/// How often while nobody is served: soon after it is put right, they are.
const INTERVAL_WHILE_OPEN: Duration = Duration::from_secs(2);

/// What was found when somebody last looked at whether dealerships are isolated from each other. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::db) struct Isolation(Arc<watch::Sender<bool>>);

impl Isolation {
    /// Nobody has looked. Whoever connects does.
    pub(in crate::db) fn unknown() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    /// Whether tenants may be served.
    pub(in crate::db) fn holds(&self) -> bool {
        *self.0.borrow()
    }

    /// Lets nobody through to a dealership's data while it is open to others.
    pub(in crate::db) fn require(&self) -> Result<()> {
        if self.holds() { Ok(()) } else { Err(Error::not_isolated()) }
    }

    /// Looks, over a connection on which nothing is open. What cannot be looked at, since it is not migrated yet, is no
    /// matter here: whoever uses the connection finds out.
    pub(in crate::db) async fn check(&self, Opened { conn, session, .. }: &mut Opened) -> sqlx::Result<()> {
        let begin = Begin::tenant(nobody(), REQUEST_LIMIT).over(session, None);
        match look(conn, begin).await {
            Ok(problems) => self.record(&problems),
            Err(sqlx::Error::Database(error)) => tracing::debug!(%error, "cannot look at the isolation of dealerships"),
            Err(error) => return Err(error),
        }
        conn.execute("ROLLBACK").await?;
        Ok(())
    }

    /// Looks through the pool.
    pub(in crate::db) async fn verify(&self, pool: &Pool) -> Result<(), IsolationError> {
        let mut tx = pool.begin(&Begin::tenant(nobody(), REQUEST_LIMIT)).await?;
        let problems = problems_of(tx.conn()).await.map_err(Error::from)?;
        self.record(&problems);
        if problems.is_empty() { Ok(()) } else { Err(IsolationError::NotIsolated(problems)) }
    }

    fn record(&self, problems: &[String]) {
        let holds = problems.is_empty();
        let changed = self.0.send_if_modified(|held| std::mem::replace(held, holds) != holds);
        match (changed, holds) {
            (true, true) => tracing::info!("dealerships are isolated from each other again, and served"),
            (true, false) => tracing::error!(
                problems = problems.join("; "),
                "dealerships are not isolated from each other; none is served until they are"
            ),
            (false, _) => {}
        }
    }
}

/// Looks from time to time, forever.
pub(in crate::db) async fn keep_looking(isolation: Isolation, pool: Pool, every: Duration) {
    let mut state = isolation.0.subscribe();
    loop {
        let interval = if *state.borrow_and_update() { every } else { INTERVAL_WHILE_OPEN };
        // Sooner, when somebody else has found out.
        if let Ok(Ok(())) = timeout(interval, state.changed()).await {
            continue;
        }
        match isolation.verify(&pool).await {
            Err(IsolationError::Db(Error::Unavailable(sqlx::Error::PoolClosed))) => return,
            // Nothing else can be asked of the database either.
            Err(IsolationError::Db(error)) => {
                tracing::warn!(error = error_chain(&error), "cannot check the isolation of dealerships");
            }
            Ok(()) | Err(IsolationError::NotIsolated(_)) => {}
        }
    }
}

async fn look(conn: &mut PgConnection, begin: String) -> sqlx::Result<Vec<String>> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(&mut *conn).await?;
    problems_of(conn).await
}

/// The dealership that there is none of.
fn nobody() -> DealershipId {
    DealershipId::from(uuid::Uuid::nil())
}
