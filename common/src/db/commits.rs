//! Whether commits come through. A primary whose synchronous standby does not confirm keeps every COMMIT waiting, and no
//! time limit of the server counts there.

use std::{sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{Db, DedicatedConnection, Result};

/// How long a trial may take before commits count as hanging.
const MOMENT: Duration = Duration::from_millis(500);
/// How long a trial waits before there is another one.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);
/// How long a commit still has that is under way when they are found to hang.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(500);

/// Whether a commit of ours has been waiting for a standby for two seconds. Asked as whoever logs in: what others run is
/// hidden from the role of the queue.
const WAITING: &str = "-- db::commits
    SET ROLE NONE;
    SELECT EXISTS (SELECT FROM pg_stat_activity
                   WHERE wait_event = 'SyncRep' AND clock_timestamp() - query_start > interval '2 s');
    SET ROLE norvalt_system";
/// Writes no row, and yet its commit has to be confirmed, and with it all from before.
pub(super) const TRIAL: &str = "-- db::commits\nSELECT pg_logical_emit_message(true, 'norvalt', '')";

/// What was found when somebody last looked. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Commits(Arc<watch::Sender<bool>>);

impl Commits {
    /// Nobody has looked.
    pub(super) fn unknown() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(super) fn hang(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when nobody should go on waiting for a commit: what waits has a connection that others could read with.
    pub(super) async fn given_up(&self) {
        // An error would mean that the sender is gone, and this is one.
        let _ = self.0.subscribe().wait_for(|hang| *hang).await;
        tokio::time::sleep(GIVEN_UP_AFTER).await;
    }

    fn record(&self, hang: bool) {
        let changed = self.0.send_if_modified(|before| std::mem::replace(before, hang) != hang);
        match (changed, hang) {
            (true, true) => tracing::error!(
                "commits hang: no synchronous standby confirms them; writes are refused and reads go on; start the standby, or \
                 take synchronous_standby_names out of the primary's configuration and reload it; see docs/scaling/fail-over.md"
            ),
            (true, false) => tracing::info!("commits come through again, and writes are taken"),
            (false, _) => {}
        }
    }
}

/// Finds out. Only while something waits, or did when somebody last looked, is a commit tried: looking writes nothing.
#[derive(Debug)]
pub(super) struct CommitCheck {
    db: Db,
    found: Commits,
    /// One at most.
    trial: JoinSet<Result<()>>,
}

impl CommitCheck {
    pub(super) fn new(db: &Db) -> Self {
        Self { db: db.clone(), found: db.commits.clone(), trial: JoinSet::new() }
    }

    /// Whether commits hang, as far as this server is concerned.
    pub(super) async fn hang(&mut self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        if self.trial.is_empty() {
            let waiting: bool = sqlx::Row::try_get(&sqlx::raw_sql(WAITING).fetch_one(conn).await?, 0)?;
            if !waiting {
                return Ok(false);
            }
            self.begin_trial();
        }
        let hang = match timeout(MOMENT, self.trial.join_next()).await {
            Ok(Some(Ok(Ok(())))) => false,
            Ok(_) => {
                self.begin_trial();
                true
            }
            Err(_) => true,
        };
        self.found.record(hang);
        Ok(hang)
    }

    /// Of a server that cannot be asked nothing is known, and the next one is another matter.
    pub(super) fn forget(&mut self) {
        self.trial = JoinSet::new();
        self.found.record(false);
    }

    fn begin_trial(&mut self) {
        let mut connection = DedicatedConnection::new(&self.db, "commits", TRIAL_LIMIT);
        self.trial.spawn(async move {
            let mut conn = connection.take().await?;
            connection.within_limit(sqlx::query(TRIAL).execute(&mut conn)).await?;
            Ok(())
        });
    }
}
