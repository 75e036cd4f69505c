use std::time::Duration;

use sqlx::FromRow;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    Db, DedicatedConnection, Error, Result,
    commits::{CommitCheck, Commits},
    isolation::Isolation,
    migrate::newest_migration,
};
use crate::telemetry::error_chain;

/// How long an answer holds: however many ask, the database is not asked more often.
const FRESH: Duration = Duration::from_millis(250);
/// How often is asked if nobody does.
const INTERVAL: Duration = Duration::from_secs(1);
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
    /// It can be read, but commits wait for a standby that does not confirm them.
    CommitsHang,
}

/// Asks whether the database can serve requests, over a connection of its own: that all of the pool are busy is no
/// reason to send requests elsewhere, where there are no more of them.
#[derive(Debug)]
pub struct ReadinessCheck {
    state: Mutex<State>,
    commits: Commits,
}

#[derive(Debug)]
struct State {
    connection: DedicatedConnection,
    isolation: Isolation,
    commits: CommitCheck,
    last: Option<(Instant, Readiness)>,
}

impl ReadinessCheck {
    /// Connects when first asked.
    pub fn new(db: &Db) -> Self {
        let connection = DedicatedConnection::new(db, "readiness", LIMIT);
        let (isolation, commits) = (db.isolation.clone(), CommitCheck::new(db));
        Self { state: Mutex::new(State { connection, isolation, commits, last: None }), commits: db.commits.clone() }
    }

    /// Asks, unless somebody just did.
    pub async fn ask(&self) -> Readiness {
        let mut state = self.state.lock().await;
        if let Some(readiness) = state.fresh() {
            return readiness;
        }
        let readiness = state.ask().await;
        state.last = Some((Instant::now(), readiness));
        readiness
    }

    /// Asks from time to time, forever, so that it is known whether commits hang when nobody else asks.
    pub async fn keep_asking(&self) {
        loop {
            let mut state = self.state.lock().await;
            if state.fresh().is_none() {
                // Whoever asks next wants to know how it is then.
                state.ask().await;
            }
            drop(state);
            sleep(INTERVAL).await;
        }
    }

    /// Whether commits did hang when somebody last asked.
    pub fn commits_hang(&self) -> bool {
        self.commits.hang()
    }
}

/// What the server says of itself.
#[derive(Debug, Clone, Copy, FromRow)]
struct Answer {
    migrated: bool,
    writable: bool,
    #[sqlx(skip)]
    commits_hang: bool,
}

impl State {
    fn fresh(&self) -> Option<Readiness> {
        self.last.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, readiness)| readiness)
    }

    async fn ask(&mut self) -> Readiness {
        let readiness = match self.question().await {
            Ok(_) if !self.isolation.holds() => Readiness::NotIsolated,
            Ok(Answer { writable: false, .. }) => Readiness::Unavailable,
            Ok(Answer { migrated: false, .. }) => Readiness::NotMigrated,
            Ok(Answer { commits_hang: true, .. }) => Readiness::CommitsHang,
            Ok(_) => Readiness::Ready,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "not ready");
                match error {
                    Error::Unavailable(_) => Readiness::Unavailable,
                    Error::Refused(_) => Readiness::NotMigrated,
                }
            }
        };
        if readiness == Readiness::Unavailable {
            self.commits.forget();
        }
        readiness
    }

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
        let mut answer: Answer = self.connection.within_limit(question).await?;
        // A name may lead to another server by now: asked again, it should.
        if answer.writable {
            answer.commits_hang = self.connection.within_limit(self.commits.hang(&mut conn)).await?;
            self.connection.put_back(conn);
        }
        Ok(answer)
    }
}
