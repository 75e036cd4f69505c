use std::{sync::Arc, time::Duration};

use common::{
    db::{Db, Result},
    queue::{DedicatedConnection, Periodic, Waiting, WorkerProcess},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{local_queue::LocalQueue, retry_log::RetryLog, statement_limit};
use crate::metrics::Metrics;

/// How often to look for jobs whose time has come or whose worker is gone.
const TICK: Duration = Duration::from_secs(1);
/// Rows changed by one statement, at most.
const BATCH: u32 = 500;
/// How often to say that this worker is there, and to count those that are, and what waits.
const REPORT: Duration = Duration::from_secs(2);

/// Keeps the leases of this process, does what operators have decided about its jobs, and keeps the queue in order:
/// expired leases are reaped, due jobs made available, periodic jobs enqueued. Every worker does the latter for all; rows
/// that another is at are skipped.
pub(super) struct Maintainer {
    local_queues: Vec<Arc<LocalQueue>>,
    connection: DedicatedConnection,
    lease: Duration,
    periodic: Vec<Periodic>,
    metrics: Arc<Metrics>,
    process: WorkerProcess,
    next_report: Instant,
    /// An operator has decided something.
    intervention: Arc<Notify>,
}

impl Maintainer {
    pub(super) fn new(
        db: &Db,
        local_queues: Vec<Arc<LocalQueue>>,
        lease: Duration,
        periodic: Vec<Periodic>,
        metrics: Arc<Metrics>,
        process: WorkerProcess,
        intervention: Arc<Notify>,
    ) -> Self {
        let connection = DedicatedConnection::new(db, "maintainer", statement_limit(lease));
        Self { local_queues, connection, lease, periodic, metrics, process, next_report: Instant::now(), intervention }
    }

    pub(super) async fn run(mut self) {
        let mut retry_log = RetryLog::of("renew leases and keep the queue in order");
        loop {
            let pause = match self.maintain().await {
                Ok(more) => {
                    retry_log.over();
                    if more { Duration::ZERO } else { TICK.min(self.lease / 5) }
                }
                Err(error) => retry_log.pause(&error),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.intervention.notified() => {}
            }
        }
    }

    /// Returns whether there is more to do at once. Leases come first, every time.
    async fn maintain(&mut self) -> Result<bool> {
        self.renew().await?;
        self.intervene().await?;
        let reaped = self.connection.reap(BATCH).await?;
        self.metrics.reaped(reaped);
        if reaped > 0 {
            tracing::warn!(jobs = reaped, "took back jobs whose worker crashed, hung or was cut off");
        }
        let promoted = self.connection.promote(BATCH).await?;
        let enqueued = self.connection.enqueue_due(&self.periodic).await?;
        if reaped > 0 || promoted > 0 || enqueued > 0 {
            for local_queue in &self.local_queues {
                local_queue.wake();
            }
        }
        // Last, since it waits for whoever has locked one of them.
        self.give_back_excess().await?;
        self.report_alive().await?;
        Ok([reaped, promoted].contains(&u64::from(BATCH)))
    }

    /// Does what operators have decided.
    async fn intervene(&mut self) -> Result<()> {
        let held: Vec<i64> = self.local_queues.iter().flat_map(|local_queue| local_queue.held()).collect();
        let interventions = self.connection.interventions(&held).await?;
        for local_queue in &self.local_queues {
            local_queue.pause(interventions.paused.iter().any(|queue| queue == local_queue.queue()));
            if !interventions.cancelled.is_empty() {
                local_queue.cancel(&interventions.cancelled);
            }
        }
        Ok(())
    }

    async fn report_alive(&mut self) -> Result<()> {
        if Instant::now() >= self.next_report {
            let running = self.local_queues.iter().map(|local_queue| local_queue.running().len()).sum();
            let workers = self.connection.report_alive(&self.process, running).await?;
            for local_queue in &self.local_queues {
                let queue = local_queue.queue();
                let waiting = if local_queue.is_paced_by_need() {
                    self.connection.waiting(queue).await?
                } else {
                    Waiting::default()
                };
                local_queue.adapt(workers.get(queue).copied().unwrap_or(1), waiting);
            }
            self.next_report = Instant::now() + REPORT;
        }
        Ok(())
    }

    /// Jobs of a paused queue, and those that got stuck behind long ones, may run elsewhere or later.
    async fn give_back_excess(&mut self) -> Result<()> {
        for local_queue in &self.local_queues {
            let excess = local_queue.withdraw_excess();
            if !excess.is_empty() {
                self.connection.release(&excess).await?;
                for lease in &excess {
                    local_queue.release(lease);
                }
            }
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<()> {
        let due: Vec<_> =
            self.local_queues.iter().flat_map(|local_queue| local_queue.due_within(self.lease * 3 / 4)).collect();
        if due.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + self.lease;
        let renewed = self.connection.renew(&due, self.lease).await?;
        for local_queue in &self.local_queues {
            local_queue.extend(&renewed, deadline);
        }
        Ok(())
    }
}
