use std::time::Duration;

use sqlx::FromRow;
use tokio::{sync::Mutex, time::Instant};

use super::{Db, DedicatedConnection, Error, Result, isolation::Isolation, migrate::newest_migration};
use crate::telemetry::error_chain;

/// How long an answer holds: however many ask, the database is not asked more often.
const FRESH: Duration = Duration::from_millis(250);
/// How long the question may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether the database can serve requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It answers and has the schema.
    Ready,
    /// Its schema is older than this build.
    NotMigrated,
    /// It does not answer, or only repeats what another server writes.
    Unavailable,
    /// Dealerships are not isolated from each other.
    NotIsolated,
}

/// Asks whether the database can serve requests, over a connection of its own: that all of the pool are busy is no
/// reason to send requests elsewhere, where there are no more of them.
#[derive(Debug)]
pub struct ReadinessCheck(Mutex<State>);

#[derive(Debug)]
struct State {
    connection: DedicatedConnection,
    isolation: Isolation,
    last: Option<(Instant, Readiness)>,
}

impl ReadinessCheck {
    /// Connects when first asked.
    pub fn new(db: &Db) -> Self {
        let connection = DedicatedConnection::new(db, "readiness", LIMIT);
        Self(Mutex::new(State { connection, isolation: db.isolation.clone(), last: None }))
    }

    /// Asks, unless somebody just did.
    pub async fn ask(&self) -> Readiness {
        let mut state = self.0.lock().await;
        if let Some((_, readiness)) = state.last.filter(|(at, _)| at.elapsed() < FRESH) {
            return readiness;
        }
        let readiness = match state.question().await {
            Ok(_) if !state.isolation.holds() => Readiness::NotIsolated,
            Ok(Answer { writable: false, .. }) => Readiness::Unavailable,
            Ok(Answer { migrated: false, .. }) => Readiness::NotMigrated,
            Ok(_) => Readiness::Ready,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "not ready");
                match error {
                    Error::Unavailable(_) => Readiness::Unavailable,
                    Error::Refused(_) => Readiness::NotMigrated,
                }
            }
        };
        state.last = Some((Instant::now(), readiness));
        readiness
    }
}

/// What the server says of itself.
#[derive(Debug, Clone, Copy, FromRow)]
struct Answer {
    migrated: bool,
    writable: bool,
}

impl State {
    async fn question(&mut self) -> Result<Answer> {
        let reused = self.connection.is_reused();
        match self.question_once().await {
            // Cut while nobody used it, which says nothing of the server.
            Err(Error::Unavailable(_)) if reused => self.question_once().await,
            answer => answer,
        }
    }

    async fn question_once(&mut self) -> Result<Answer> {
        let mut conn = self.connection.take().await?;
        let question = sqlx::query_as(
            "-- db::readiness
             SELECT coalesce(max(version) >= $1, false) AS migrated,
                    NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean AS writable
             FROM _sqlx_migrations WHERE success",
        )
        .bind(newest_migration())
        .fetch_one(&mut conn);
        let answer: Answer = self.connection.within_limit(question).await?;
        // A name may lead to another server by now: asked again, it should.
        if answer.writable {
            self.connection.put_back(conn);
        }
        Ok(answer)
    }
}
