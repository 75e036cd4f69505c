use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::{
    HELD,
    known::{State, current, set},
};
use crate::{
    audit::{Operator, Subject, Verb, record},
    clerk::lock_organization,
    conversations::DeliveryStatus,
    db::{Db, Error, Result, SystemTx},
    ids::{ClerkOrgId, DealershipId},
    outbox::doubt,
};

/// How long others may take to end what they began before the dealership was closed. A request or a job ends sooner.
const LIMIT: Duration = Duration::from_mins(3);
/// How often is looked: PostgreSQL tells nobody of the end of another one's transaction.
const POLL: Duration = Duration::from_millis(100);

/// Why a dealership is not frozen.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    #[error("there is no such dealership here")]
    NotHere,
    #[error("the dealership was handed over to another server, or is arriving from one")]
    Elsewhere,
    #[error("the dealership is closed, but what had begun before has not ended: {0}; end that, and freeze it again")]
    StillBusy(String),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for FreezeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What a frozen dealership has in hand.
#[derive(Debug, Clone, Copy)]
pub struct Frozen {
    /// Jobs that wait for the dealership to be opened, here or elsewhere.
    pub held_jobs: i64,
    /// Messages of which nobody knows whether the provider took them.
    pub in_doubt: usize,
}

/// Closes a dealership, so that it can be exported: nobody has access, whoever sends something is told to come again, no job of it
/// begins, and what had begun has ended. May be repeated.
pub async fn freeze(db: &Db, org: &ClerkOrgId, by: &Operator) -> Result<Frozen, FreezeError> {
    let id = DealershipId::of(org);
    let running = close(db, org, by).await?;
    wait_for_transactions(db).await?;
    wait_for_jobs(db, id).await?;
    let mut tx = db.system().await?;
    take_back(&mut tx, id, &running).await?;
    tx.commit().await?;
    let in_doubt = doubt_all(db, id).await?;
    let mut tx = db.system().await?;
    hold(tx.conn(), id).await?;
    let held_jobs = sqlx::query_scalar(
        "-- moving::freeze\nSELECT count(*) FROM jobs WHERE for_dealership = $1 AND state IN ('available', 'scheduled', 'retryable')",
    );
    let held_jobs = held_jobs.bind(id).fetch_one(tx.conn()).await?;
    tx.commit().await?;
    Ok(Frozen { held_jobs, in_doubt })
}

/// Returns the jobs that ran in that moment.
async fn close(db: &Db, org: &ClerkOrgId, by: &Operator) -> Result<Vec<i64>, FreezeError> {
    let id = DealershipId::of(org);
    let mut tx = db.system().await?;
    lock_organization(&mut tx, org).await?;
    let archive = match current(&mut tx, id).await? {
        None => None,
        Some(found) if found.state == State::Leaving => found.archive,
        Some(_) => return Err(FreezeError::Elsewhere),
    };
    let closed = sqlx::query(
        "-- moving::close
         UPDATE dealerships SET closed_at = coalesce(closed_at, now()) WHERE id = $1",
    );
    if closed.bind(id).execute(tx.conn()).await?.rows_affected() == 0 {
        return Err(FreezeError::NotHere);
    }
    set(&mut tx, org, State::Leaving, archive.as_deref()).await?;
    let running =
        sqlx::query_scalar("-- moving::close\nSELECT id FROM jobs WHERE for_dealership = $1 AND state = 'running'");
    let running = running.bind(id).fetch_all(tx.conn()).await?;
    hold(tx.conn(), id).await?;
    record(&mut tx, by, Verb::Freeze, Subject::Other(&id.to_string())).await?;
    tx.commit().await?;
    Ok(running)
}

/// Hides the jobs that wait from the workers, each as it is.
pub(super) async fn hold(conn: &mut PgConnection, id: DealershipId) -> Result<()> {
    sqlx::query(
        "-- moving::hold
         UPDATE jobs j SET queue = $2 || queue
         WHERE for_dealership = $1 AND state IN ('available', 'scheduled', 'retryable') AND NOT starts_with(queue, $2)
           AND NOT EXISTS (SELECT FROM jobs o WHERE o.queue = $2 || j.queue AND o.unique_key = j.unique_key
                           AND o.state IN ('available', 'scheduled', 'retryable'))",
    )
    .bind(id)
    .bind(HELD)
    .execute(conn)
    .await?;
    Ok(())
}

/// Jobs that found the dealership closed were to wait for an hour: they are due. What waited before was hidden when it was closed, and
/// keeps its time.
async fn take_back(tx: &mut SystemTx, id: DealershipId, ran: &[i64]) -> Result<()> {
    sqlx::query(
        "-- moving::take_back
         UPDATE jobs SET state = 'available', run_at = now()
         WHERE for_dealership = $1 AND state = 'scheduled' AND NOT starts_with(queue, $4)
           AND (id = ANY ($2) OR created_at > now() - $3::interval AND run_at > created_at + interval '50 minutes')",
    )
    .bind(id)
    .bind(ran)
    .bind(LIMIT * 3)
    .bind(HELD)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The transactions that were open when nobody was let in any more may still write; each holds a lock on its own number.
async fn wait_for_transactions(db: &Db) -> Result<(), FreezeError> {
    let mut open: Vec<String> = sqlx::query_scalar(
        "-- moving::wait_for_transactions
         SELECT DISTINCT l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database() AND a.usesysid IS NOT NULL
           AND l.pid <> pg_backend_pid()",
    )
    .fetch_all(db.system().await?.conn())
    .await?;
    let until = Instant::now() + LIMIT;
    loop {
        let left: Vec<(String, String)> = sqlx::query_as(
            "-- moving::wait_for_transactions
             SELECT DISTINCT l.virtualtransaction, format('%s (process %s)', a.application_name, a.pid)
             FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE l.locktype = 'virtualxid' AND l.granted AND l.virtualtransaction = ANY ($1)",
        )
        .bind(&open)
        .fetch_all(db.system().await?.conn())
        .await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            let names: Vec<_> = left.into_iter().map(|(_, name)| name).collect();
            return Err(FreezeError::StillBusy(format!("transactions of {}", names.join(", "))));
        }
        open = left.into_iter().map(|(transaction, _)| transaction).collect();
        sleep(POLL).await;
    }
}

async fn wait_for_jobs(db: &Db, id: DealershipId) -> Result<(), FreezeError> {
    let until = Instant::now() + LIMIT;
    loop {
        let running: Vec<String> = sqlx::query_scalar(
            "-- moving::wait_for_jobs\nSELECT format('job %s', id) FROM jobs WHERE for_dealership = $1 AND state = 'running'",
        )
        .bind(id)
        .fetch_all(db.system().await?.conn())
        .await?;
        if running.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(FreezeError::StillBusy(running.join(", ")));
        }
        sleep(POLL).await;
    }
}

/// What was being sent when its worker died may have been taken: the other server could not find out by asking its own provider.
async fn doubt_all(db: &Db, id: DealershipId) -> Result<usize> {
    let mut in_doubt = 0;
    loop {
        let mut tx = db.tenant(id).await?;
        let reason = "the dealership was moved to another server while the provider was asked";
        let batch = doubt(&mut tx, &[DeliveryStatus::Sending], reason).await?;
        tx.commit().await?;
        in_doubt += batch;
        if batch == 0 {
            return Ok(in_doubt);
        }
    }
}
