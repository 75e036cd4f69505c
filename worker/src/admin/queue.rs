use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{
    clerk,
    db::{Db, Result},
    deliveries::{self, Source, Status},
    metrics::{gauges, single},
    queue::{self, Stats},
    telemetry::error_chain,
};
use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, metrics::gauge::ConstGauge, registry::Unit,
};
use tokio::time::{Instant, timeout};

use crate::Registry;

/// For how long a view does, at least.
const FRESH: Duration = Duration::from_secs(5);
/// A view does for this many times what it cost: a long queue must not be made longer by being looked at.
const SHARE: u32 = 10;
/// How long looking may take. Who scrapes has not much more patience.
const LIMIT: Duration = Duration::from_secs(4);

/// The whole queue as the database has it: the same from every worker.
#[derive(Debug)]
pub(super) struct QueueView {
    db: Db,
    /// What is shown also when there is none of it.
    kinds: BTreeSet<(&'static str, &'static str)>,
    /// Locked by whoever looks; the others wait for what that one sees.
    next_look: tokio::sync::Mutex<Instant>,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug)]
struct Seen {
    jobs: Vec<Stats>,
    paused: Vec<String>,
    /// Deliveries that wait for somebody.
    waiting: Vec<(Source, Status, i64)>,
    refused: bool,
}

impl QueueView {
    pub(super) fn new(db: Db, kinds: &Registry) -> Self {
        Self { db, kinds: kinds.kinds(), next_look: tokio::sync::Mutex::new(Instant::now()), seen: Mutex::default() }
    }

    /// Looks again, unless somebody just did. What cannot be seen is not shown: an old view would look like a queue in
    /// which nothing happens.
    pub(super) async fn refresh(&self) {
        let mut next_look = self.next_look.lock().await;
        let began = Instant::now();
        if began < *next_look {
            return;
        }
        let seen = match timeout(LIMIT, self.look()).await {
            Ok(Ok(seen)) => Some(seen),
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), "cannot measure the queue");
                None
            }
            Err(_) => {
                tracing::warn!("measuring the queue takes longer than {LIMIT:?}");
                None
            }
        };
        *self.lock() = seen;
        *next_look = Instant::now() + FRESH.max(began.elapsed() * SHARE);
    }

    async fn look(&self) -> Result<Seen> {
        let mut tx = self.db.system_within(LIMIT).await?;
        let mut jobs = queue::stats(&mut tx).await?;
        let none = self.kinds.iter().map(|(kind, queue)| Stats::none(queue, kind));
        let missing: Vec<_> = none.filter(|none| !jobs.iter().any(|some| some.is_like(none))).collect();
        jobs.extend(missing);
        let paused = queue::paused(&mut tx).await?.into_iter().map(|queue| queue.name).collect();
        let refused = clerk::last_reconciliation(&mut tx).await?.is_some_and(|last| last.refusal.is_some());
        Ok(Seen { jobs, paused, waiting: deliveries::count_waiting(&mut tx).await?, refused })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        // Whole also after a panic: it is only ever replaced.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for QueueView {
    #[expect(clippy::cast_precision_loss, reason = "nobody tells 2^53 jobs from one more")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.lock();
        let Some(Seen { jobs, paused, waiting, refused }) = &*seen else { return Ok(()) };
        let of = |stats: &Stats| [("queue", stats.queue.clone()), ("kind", stats.kind.clone())];
        let in_state = |stats: &Stats, state: &str, count: i64| {
            let [queue, kind] = of(stats);
            ([queue, kind, ("state", state.to_owned())], count as f64)
        };
        let states = jobs.iter().flat_map(|stats| {
            [
                in_state(stats, "available", stats.available),
                in_state(stats, "scheduled", stats.scheduled),
                in_state(stats, "retryable", stats.retryable),
                in_state(stats, "running", stats.running),
                in_state(stats, "dead", stats.dead),
            ]
        });
        gauges(&mut encoder, ("queue_jobs", "Jobs that are not over, or dead, by state", None), states)?;
        let ages = jobs.iter().map(|stats| (of(stats), stats.oldest_available.unwrap_or_default()));
        let help = "For how long the oldest job could have run that nobody has claimed";
        gauges(&mut encoder, ("queue_oldest_job", help, Some(&Unit::Seconds)), ages)?;
        let attempts = jobs.iter().map(|stats| (of(stats), f64::from(stats.attempts)));
        let help = "How often the job was tried that was tried most often, of those that are not over";
        gauges(&mut encoder, ("queue_attempts_max", help, None), attempts)?;
        let mut queues: BTreeSet<&str> = self.kinds.iter().map(|(_, queue)| *queue).collect();
        queues.extend(paused.iter().map(String::as_str));
        let of = |queue: &str| [("queue", queue.to_owned())];
        let pauses = queues.iter().map(|queue| (of(queue), f64::from(u8::from(paused.iter().any(|p| p == queue)))));
        gauges(&mut encoder, ("queue_paused", "Whether an operator has paused the queue: 1 or 0", None), pauses)?;
        let with = |status: Status| {
            Source::ALL.into_iter().map(move |source| {
                let found = waiting.iter().find(|(of, is, _)| (*of, *is) == (source, status));
                ([("source", source.as_str().to_owned())], found.map_or(0, |(.., count)| *count) as f64)
            })
        };
        let dead = ("deliveries_dead", "Deliveries that no retry can repair", None);
        gauges(&mut encoder, dead, with(Status::Dead))?;
        let parked = ("deliveries_parked", "Deliveries that wait for a person to decide", None);
        gauges(&mut encoder, parked, with(Status::Parked))?;
        let help = "Whether the last reconciliation with Clerk was refused, and waits for an operator";
        let refused = ConstGauge::new(i64::from(*refused));
        single(&mut encoder, ("clerk_reconciliation_refused", help, None), &refused)
    }
}
