use std::{collections::HashSet, time::Duration};

use common::{
    db::Db,
    queue::{Lease, QueueConnection},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{outage::Outage, statement_limit};

/// Jobs marked done by one statement, at most.
const BATCH: usize = 500;

/// Marks jobs done whose work has ended outside of a transaction: in one statement all that have come together while the
/// one before was under way.
pub(super) struct Completer {
    connection: QueueConnection,
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
        let connection = QueueConnection::new(db, "completer", statement_limit(lease));
        (Self { connection, ended }, Completions(hand_in))
    }

    /// Tries until it succeeds. A job whose lease runs out meanwhile is run again, and no longer completed here.
    pub(super) async fn run(mut self) {
        let mut outage = Outage::of("mark jobs done");
        let mut batch: Vec<Ended> = Vec::new();
        while self.ended.recv_many(&mut batch, BATCH).await > 0 {
            let mut at_once = BATCH;
            while !batch.is_empty() {
                let some = batch.len().min(at_once);
                let leases: Vec<Lease> = batch[..some].iter().map(|ended| ended.lease).collect();
                match self.connection.complete_all(&leases).await {
                    Ok(done) => {
                        outage.over();
                        answer(batch.drain(..some), &done);
                    }
                    Err(error) => {
                        // It may be one of them that stands in the way of the others: from here on each by itself.
                        at_once = 1;
                        batch.rotate_left(1);
                        sleep(outage.pause(&error)).await;
                        batch.retain(|ended| !ended.done.is_closed());
                    }
                }
            }
        }
    }
}

fn answer(batch: impl Iterator<Item = Ended>, done: &[i64]) {
    let completed: HashSet<&i64> = done.iter().collect();
    for Ended { lease, done } in batch {
        // Nobody waits any more for a job that was lost.
        let _ = done.send(completed.contains(&lease.job_id()));
    }
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
