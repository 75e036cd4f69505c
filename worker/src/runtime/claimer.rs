use std::{sync::Arc, time::Duration};

use common::{
    db::Result,
    ids::DealershipId,
    queue::{ClaimToken, ClaimedJob, DedicatedConnection},
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc, watch},
    time::{Instant, sleep},
};

use super::{
    local_queue::LocalQueue,
    permits::{Flow, Permit, Permits},
    retry_log::RetryLog,
};
use crate::metrics::Metrics;

/// Fetches one queue's jobs into this process, as many as fit its local queue.
pub(super) struct Claimer {
    local_queue: Arc<LocalQueue>,
    claiming: Claiming,
    lease: Duration,
    poll: Duration,
    /// Bounded by the room in the local queue.
    claimed: mpsc::UnboundedSender<ClaimedJob>,
    metrics: Arc<Metrics>,
    /// The last claim, if we never learned what it took.
    unanswered: Option<ClaimToken>,
    /// Whose jobs were claimed last.
    after: Option<DealershipId>,
}

/// The connection that the claimers of all queues share, one after the other: the lock is never waited for.
#[derive(Clone)]
pub(super) struct Claiming {
    permits: Permits,
    connection: Arc<Mutex<DedicatedConnection>>,
}

impl Claiming {
    pub(super) fn on(connection: DedicatedConnection) -> Self {
        Self { permits: Permits::at_once(1), connection: Arc::new(Mutex::new(connection)) }
    }

    /// Waits until nobody else has the connection.
    async fn take(&self, queue: &'static str) -> (Permit, OwnedMutexGuard<DedicatedConnection>) {
        (self.permits.acquire(Flow::of(queue)).await, self.connection.clone().lock_owned().await)
    }
}

impl Claimer {
    pub(super) fn new(
        claiming: Claiming,
        local_queue: Arc<LocalQueue>,
        lease: Duration,
        poll: Duration,
        claimed: mpsc::UnboundedSender<ClaimedJob>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { local_queue, claiming, lease, poll, claimed, metrics, unanswered: None, after: None }
    }

    /// Claims until told to stop. Returns the token of a claim that may have taken jobs we do not know of.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Option<ClaimToken> {
        let mut retry_log = RetryLog::of("claim jobs");
        loop {
            // Waiting may be cut short, a claim may not: it would be without an answer.
            let (room, (permit, mut connection)) = tokio::select! {
                claim = self.room() => claim,
                _ = stop.wait_for(|stop| *stop) => return self.unanswered,
            };
            let claimed = self.claim(&mut connection, room).await;
            drop((connection, permit));
            let pause = async {
                match claimed {
                    Ok(more) => {
                        retry_log.over();
                        if !more {
                            self.work_or_poll().await;
                        }
                    }
                    Err(error) => sleep(retry_log.pause(&error)).await,
                }
            };
            tokio::select! {
                () = pause => {}
                _ = stop.wait_for(|stop| *stop) => return self.unanswered,
            }
        }
    }

    /// Waits until there is room for jobs, and then for the connection. There is no less room meanwhile: none but this
    /// claimer fills it.
    async fn room(&self) -> (usize, (Permit, OwnedMutexGuard<DedicatedConnection>)) {
        (self.local_queue.room().await, self.claiming.take(self.local_queue.queue()).await)
    }

    async fn work_or_poll(&self) {
        tokio::select! {
            () = self.local_queue.work() => {}
            () = sleep(self.poll) => {}
        }
    }

    /// Claims up to `room` jobs and hands them on. Returns whether there may be more.
    async fn claim(&mut self, connection: &mut DedicatedConnection, room: usize) -> Result<bool> {
        if let Some(token) = self.unanswered {
            connection.release_claim(token).await?;
            self.unanswered = None;
        }
        let token = ClaimToken::new();
        let asked = Instant::now();
        self.unanswered = Some(token);
        let claim = connection.claim(self.local_queue.queue(), room, self.lease, token, self.after).await?;
        self.unanswered = None;
        self.metrics.claimed(self.local_queue.queue(), asked.elapsed());
        self.after = claim.jobs.last().map_or(self.after, |job| job.dealership);
        for job in claim.jobs {
            self.local_queue.hold(job.lease, asked + self.lease);
            // Fails only if the worker is being dropped, and then the lease runs out.
            let _ = self.claimed.send(job);
        }
        Ok(claim.more)
    }
}
