use std::{sync::atomic::Ordering, time::Duration};

use common::{
    db::{Db, Result},
    queue::{ClaimToken, DedicatedConnection, Lease, WorkerProcess},
    telemetry::error_chain,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{RunError, Runtime, retry_log::RetryLog};

/// For what is left to say to the database when the time to stop is over.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Runtime {
    /// Stops cleanly, or says what was not clean.
    pub(super) async fn stop(self) -> Result<(), RunError> {
        // The maintainer goes on until the last job has ended.
        let Self { db, shutdown: limit, local_queues, claimers, upkeep, mut executor, process, .. } = self;
        let deadline = Instant::now() + limit;
        let running = || local_queues.iter().flat_map(|local_queue| local_queue.running()).collect::<Vec<_>>();
        tracing::info!(running = running().len(), "stopping: claims no more, gives back what it has not begun");
        self.unsettled.store(false, Ordering::Relaxed);
        self.stop.send_replace(true);
        executor.close();

        let give_back_waiting = async {
            let unanswered = unanswered(claimers).await;
            let waiting: Vec<_> = local_queues.iter().flat_map(|local_queue| local_queue.take_waiting()).collect();
            give_back(&db, &waiting, &unanswered, deadline + LAST_WORDS).await
        };
        let (finished, mut told) = tokio::join!(timeout_at(deadline, executor.ended()), give_back_waiting);
        let interrupted = running();
        drop(executor);
        drop(upkeep);
        if !interrupted.is_empty() {
            told &= give_back(&db, &interrupted, &[], Instant::now() + LAST_WORDS).await;
        }
        // A database that could not be told of the jobs need not be waited for again.
        if told {
            say_goodbye(&db, &process).await;
        }
        told &= !self.unsettled.load(Ordering::Relaxed);
        db.close().await;
        match finished {
            Err(_) => Err(RunError::Interrupted { jobs: interrupted.len(), limit }),
            Ok(Err(error)) => Err(RunError::Ended(format!("apalis: {error:?}"))),
            Ok(Ok(())) if !told => Err(RunError::LeftBehind),
            Ok(Ok(())) => {
                tracing::info!("stopped");
                Ok(())
            }
        }
    }
}

/// Without it, operators see for a while a worker that is missing.
async fn say_goodbye(db: &Db, process: &WorkerProcess) {
    let mut connection = DedicatedConnection::new(db, "stopping", LAST_WORDS);
    if let Ok(Err(error)) = timeout(LAST_WORDS, connection.report_stopped(process)).await {
        tracing::debug!(error = error_chain(&error), "cannot say that this worker has stopped");
    }
}

/// Waits for the claimers to end, and collects the claims whose answers never came.
async fn unanswered(mut claimers: JoinSet<Option<ClaimToken>>) -> Vec<ClaimToken> {
    let mut unanswered = Vec::new();
    while let Some(ended) = claimers.join_next().await {
        unanswered.extend(ended.ok().flatten());
    }
    unanswered
}

/// Gives back what will not run here, so that it need not wait for its leases to run out. Returns whether that was
/// possible before the deadline.
async fn give_back(db: &Db, leases: &[Lease], claims: &[ClaimToken], deadline: Instant) -> bool {
    if leases.is_empty() && claims.is_empty() {
        return true;
    }
    let mut retry_log = RetryLog::of("give jobs back");
    let trying = async {
        let mut connection = DedicatedConnection::new(db, "stopping", LAST_WORDS);
        while let Err(error) = try_give_back(&mut connection, leases, claims).await {
            sleep(retry_log.pause(&error)).await;
        }
    };
    timeout_at(deadline, trying).await.is_ok()
}

async fn try_give_back(connection: &mut DedicatedConnection, leases: &[Lease], claims: &[ClaimToken]) -> Result<()> {
    for claim in claims {
        connection.release_claim(*claim).await?;
    }
    let jobs = connection.release(leases).await?;
    tracing::info!(jobs, "gave back jobs");
    Ok(())
}
