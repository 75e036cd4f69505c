//! How jobs come into this process and leave it: a claimer for each queue fills that queue's local queue, apalis runs what is
//! in it, the maintainer renews the leases meanwhile, the listener says when there is more.

mod attempt;
mod claimer;
mod completer;
mod execution;
mod executor;
mod listener;
mod local_queue;
mod maintainer;
mod permits;
mod prefetch;
mod retry_log;
mod stop;
mod throttle;

use std::{
    io,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use common::{
    clock::Clock,
    config::{WorkerConfig, default_concurrency, spares_others},
    db::{Db, NotUsable},
    jobs::{Job, SendEmail},
    metrics,
    queue::{ClaimToken, DedicatedConnection, WorkerProcess},
    secrets::{KeysError, require_keys},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use uuid::Uuid;

use self::{
    claimer::{Claimer, Claiming},
    completer::Completer,
    execution::Execution,
    executor::Executor,
    local_queue::LocalQueue,
    maintainer::Maintainer,
    permits::Permits,
    throttle::Throttle,
};
use crate::{
    Registry,
    admin::{Admin, Phase},
    kinds::{NoServices, Services},
    metrics::Metrics,
    own_slots::OwnSlots,
};

/// Pooled connections that no job may keep: to announce work, and to write down what became of a job.
const SPARE: u32 = 2;
/// The others are divided by this for what jobs of dealerships use at once, where one is not enough: a third. More of them are no faster
/// together: they wait for the same processors, and make whatever else is to be done wait for those as well.
const DEALERSHIPS_PART: usize = 3;

/// Why a worker did not run until it was told to stop, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It must not run on this database.
    #[error(transparent)]
    NotUsable(#[from] NotUsable),
    /// The address for operators cannot be had.
    #[error("cannot listen on WORKER_ADMIN_ADDRESS; set it to another address, or leave it out to serve no metrics")]
    Admin(#[source] io::Error),
    /// Jobs took longer than the time there was to stop. They were rolled back and given back.
    #[error("{jobs} jobs did not finish within {limit:?}; they were interrupted and will run again")]
    Interrupted {
        jobs: usize,
        /// How long they had: `SHUTDOWN_SECONDS`.
        limit: Duration,
    },
    /// The database was not there to be told. Nothing is lost.
    #[error("could not tell the database what became of every job; those will run again when their leases run out")]
    LeftBehind,
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Services(#[from] NoServices),
    /// A bug.
    #[error("a part of the worker ended by itself: {0}")]
    Ended(String),
}

/// Runs the jobs of the registry's queues until `shutdown`, then stops: claims no more, gives back what it has not
/// begun and finishes the rest. Waits for a database that is away, at the start and later. `Ok` means that every job
/// that was claimed here is done, recorded as failed, or given back.
pub async fn run(config: WorkerConfig, registry: Registry, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let mut shutdown = pin!(shutdown);
    let db = Db::new(&config.database_url, config.connections, "norvalt worker");
    let mut observed = metrics::registry(&db, &Clock::system());
    let metrics = Arc::new(Metrics::new(&mut observed));
    let services = Services::new(&config)?;
    let (phase, phases) = watch::channel(Phase::Starting);
    let admin = Admin::new(db.clone(), phases, observed, &registry, config.operators.clone());
    let _serving = match config.admin_address {
        Some(address) => Some(admin.serve(address).await.map_err(RunError::Admin)?),
        None => None,
    };
    let usable = async {
        db.wait_until_usable().await?;
        Ok::<_, RunError>(require_keys(&db, &config.keyring).await?)
    };
    tokio::select! {
        usable = usable => usable?,
        () = &mut shutdown => return Ok(()),
    }
    let mut runtime = Runtime::start(db, &config, &services, &registry, &metrics);
    phase.send_replace(Phase::Running);
    tokio::select! {
        error = runtime.ended() => Err(error),
        () = shutdown => {
            phase.send_replace(Phase::Stopping);
            runtime.stop().await
        }
    }
}

/// Everything that runs. Dropping it ends it all at once: jobs roll back, leases run out.
struct Runtime {
    db: Db,
    shutdown: Duration,
    local_queues: Vec<Arc<LocalQueue>>,
    /// Each ends when told to stop.
    claimers: JoinSet<Option<ClaimToken>>,
    /// The maintainer, the completer and the listener, which end only with the runtime.
    upkeep: JoinSet<()>,
    executor: Executor,
    stop: watch::Sender<bool>,
    unsettled: Arc<AtomicBool>,
    process: WorkerProcess,
}

impl Runtime {
    fn start(db: Db, config: &WorkerConfig, services: &Services, registry: &Registry, metrics: &Arc<Metrics>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let unsettled = Arc::new(AtomicBool::new(false));
        let (mut local_queues, mut claimers, mut work) = (Vec::new(), JoinSet::new(), Vec::new());
        let outgoing = Arc::new(config.outgoing.clone());
        let own_slots = Arc::new(OwnSlots::new(local_queue(SendEmail::QUEUE, config).slots()));
        let (completer, completions) = Completer::new(&db, config.lease);
        let pooled = config.connections.saturating_sub(SPARE) as usize;
        let (connections, of_dealerships) =
            (Permits::at_once(pooled), Permits::one_by_one_or(pooled / DEALERSHIPS_PART));
        let claiming = Claiming::on(DedicatedConnection::new(&db, "claimer", statement_limit(config.lease)));
        for queue in registry.queues() {
            let local_queue = Arc::new(local_queue(queue, config));
            let (buffer, jobs) = mpsc::unbounded_channel();
            let claimer =
                Claimer::new(claiming.clone(), local_queue.clone(), config.lease, config.poll, buffer, metrics.clone());
            claimers.spawn(claimer.run(stopping.clone()));
            metrics.serves(queue, local_queue.slots());
            let execution = Execution {
                db: db.clone(),
                services: services.clone(),
                keyring: config.keyring.clone(),
                outgoing: outgoing.clone(),
                public_url: config.public_url.as_deref().map(Arc::from),
                own_slots: own_slots.clone(),
                registry: registry.clone(),
                local_queue: local_queue.clone(),
                completions: completions.clone(),
                unsettled: unsettled.clone(),
                metrics: metrics.clone(),
                connections: connections.clone(),
                of_dealerships: of_dealerships.clone(),
            };
            work.push((execution, jobs));
            local_queues.push(local_queue);
        }
        registry.kinds().into_iter().for_each(|(kind, _)| metrics.knows(kind));
        let mut upkeep = JoinSet::new();
        let process = process(&local_queues);
        let intervention = Arc::new(Notify::new());
        let maintainer = Maintainer::new(
            &db,
            local_queues.clone(),
            config.lease,
            registry.periodic(),
            metrics.clone(),
            process.clone(),
            intervention.clone(),
        );
        upkeep.spawn(maintainer.run());
        upkeep.spawn(completer.run());
        upkeep.spawn(listener::listen(db.clone(), local_queues.clone(), intervention));
        let queues = Vec::from_iter(registry.queues()).join(", ");
        let (connections, jobs) = (config.connections, process.slots);
        tracing::info!(queues, jobs, connections, "the worker is ready");
        let executor = Executor::open(work);
        Self { db, shutdown: config.shutdown, local_queues, claimers, upkeep, executor, stop, unsettled, process }
    }

    /// Waits for something to end that should not. Whatever it is, the worker must not go on as if nothing were.
    async fn ended(&mut self) -> RunError {
        let what = tokio::select! {
            outcome = self.executor.ended() => format!("apalis: {outcome:?}"),
            outcome = self.claimers.join_next() => format!("a claimer: {outcome:?}"),
            outcome = self.upkeep.join_next() => format!("the maintainer, the completer or the listener: {outcome:?}"),
        };
        RunError::Ended(what)
    }
}

fn local_queue(queue: &'static str, config: &WorkerConfig) -> LocalQueue {
    let limit = config.queue_limits.get(queue).copied().unwrap_or_default();
    let concurrency = limit.concurrency.or_else(|| default_concurrency(queue)).unwrap_or(config.concurrency);
    let throttle = match limit.rate {
        Some(rate) => Some(Throttle::at(rate)),
        None => spares_others(queue).then(|| Throttle::by_need(Instant::now())),
    };
    LocalQueue::new(queue, concurrency as usize, throttle)
}

/// This process, as operators see it.
fn process(local_queues: &[Arc<LocalQueue>]) -> WorkerProcess {
    WorkerProcess {
        id: Uuid::new_v4(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        queues: local_queues.iter().map(|local_queue| local_queue.queue().to_owned()).collect(),
        slots: local_queues.iter().map(|local_queue| local_queue.slots()).sum(),
    }
}

/// How long one of the queue's statements may take: leases must not run out meanwhile.
fn statement_limit(lease: Duration) -> Duration {
    (lease / 4).min(Duration::from_secs(5))
}
