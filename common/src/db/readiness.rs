use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use super::{Db, Error, Result, migrate::has_migrations};
use crate::{queue::QueueConnection, telemetry::chain};

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
    /// It does not answer.
    Unavailable,
}

/// Asks whether the database can serve requests, over a connection of its own: that all of the pool are busy is no
/// reason to send requests elsewhere, where there are no more of them.
#[derive(Debug)]
pub struct ReadinessCheck(Mutex<State>);

#[derive(Debug)]
struct State {
    connection: QueueConnection,
    last: Option<(Instant, Readiness)>,
}

impl ReadinessCheck {
    /// Connects when first asked.
    pub fn new(db: &Db) -> Self {
        Self(Mutex::new(State { connection: QueueConnection::new(db, "readiness", LIMIT), last: None }))
    }

    /// Asks, unless somebody just did.
    pub async fn ask(&self) -> Readiness {
        let mut state = self.0.lock().await;
        if let Some((_, readiness)) = state.last.filter(|(at, _)| at.elapsed() < FRESH) {
            return readiness;
        }
        let readiness = match state.question().await {
            Ok(true) => Readiness::Ready,
            Ok(false) => Readiness::NotMigrated,
            Err(error) => {
                tracing::warn!(error = chain(&error), "not ready");
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

impl State {
    async fn question(&mut self) -> Result<bool> {
        let mut conn = self.connection.take().await?;
        let answer = self.connection.within_limit(has_migrations(&mut conn)).await?;
        self.connection.put_back(conn);
        Ok(answer)
    }
}
