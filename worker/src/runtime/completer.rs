use std::{collections::HashMap, time::Duration};

use common::{
    db::Db,
    queue::{DedicatedConnection, Lease},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{retry_log::RetryLog, statement_limit};

/// Jobs taken up at a time, at most.
const BATCH: usize = 500;
/// When a job is tried again whose row was locked.
const AGAIN: Duration = Duration::from_millis(20);

/// Marks jobs done whose work has ended outside of a transaction: in one statement all that have come together while the
/// one before was under way.
pub(super) struct Completer {
    connection: DedicatedConnection,
    ended: mpsc::UnboundedReceiver<Ended>,
}

/// Where jobs are handed in. Each is in a slot, which bounds how many there are.
#[derive(Clone)]
pub(super) struct Completions(mpsc::UnboundedSender<Ended>);

struct Ended {
    lease: Lease,
    done: oneshot::Sender<bool>,
}

impl Completer {
    pub(super) fn new(db: &Db, lease: Duration) -> (Self, Completions) {
        let (hand_in, ended) = mpsc::unbounded_channel();
        let connection = DedicatedConnection::new(db, "completer", statement_limit(lease));
        (Self { connection, ended }, Completions(hand_in))
    }

    /// Tries until it succeeds. A job whose lease runs out meanwhile is run again, and no longer completed here.
    pub(super) async fn run(mut self) {
        let mut retry_log = RetryLog::of("mark jobs done");
        let mut batch: Vec<Ended> = Vec::new();
        while self.gather(&mut batch).await {
            let leases: Vec<Lease> = batch.iter().map(|ended| ended.lease).collect();
            match self.connection.complete_all(&leases).await {
                Ok(ours) => {
                    retry_log.over();
                    batch = answer(batch, &ours);
                }
                Err(error) => sleep(retry_log.pause(&error)).await,
            }
            // Nobody waits any more for a job that was lost.
            batch.retain(|ended| !ended.done.is_closed());
        }
    }

    /// Waits until there are jobs to mark: others than before, or after a moment those that could not be marked.
    async fn gather(&mut self, batch: &mut Vec<Ended>) -> bool {
        let again = !batch.is_empty();
        tokio::select! {
            count = self.ended.recv_many(batch, BATCH) => count > 0,
            () = sleep(AGAIN), if again => true,
        }
    }
}

/// Tells what became of each job, and returns those that are locked: they are ours, and not done yet.
fn answer(batch: Vec<Ended>, ours: &[(i64, bool)]) -> Vec<Ended> {
    let ours: HashMap<i64, bool> = ours.iter().copied().collect();
    let mut locked = Vec::new();
    for ended in batch {
        let done = ours.get(&ended.lease.job_id());
        if done == Some(&false) {
            locked.push(ended);
        } else {
            // Its slot may have been cleared meanwhile.
            let _ = ended.done.send(done.is_some());
        }
    }
    locked
}

impl Completions {
    /// Returns once the job is marked done, or `false` when it is not ours any more.
    pub(super) async fn complete(&self, lease: Lease) -> bool {
        let (done, answer) = oneshot::channel();
        // Fails only while the worker is being dropped, which ends this, too.
        let _ = self.0.send(Ended { lease, done });
        answer.await.unwrap_or(false)
    }
}
