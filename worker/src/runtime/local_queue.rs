use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::queue::{Lease, Waiting};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    prefetch::Prefetch,
    throttle::{Allowed, Throttle},
};

/// Larger batches gain nothing and keep jobs from other workers.
const MAX_BATCH: usize = 100;

/// One queue's share of this process: its slots, and the leases of the jobs that run in them or wait for one.
///
/// A lease enters with [`LocalQueue::hold`] and leaves with [`LocalQueue::release`] or [`LocalQueue::take_waiting`]; while it is here, the
/// maintainer renews it, but for the last moment.
#[derive(Debug)]
pub(super) struct LocalQueue {
    queue: &'static str,
    slots: usize,
    places: Mutex<Places>,
    room: Notify,
    work: Notify,
    cancelled: Notify,
}

#[derive(Debug, Default)]
struct Places {
    held: HashMap<i64, Held>,
    prefetch: Prefetch,
    /// Where jobs do not simply begin as fast as they can.
    throttle: Option<Throttle>,
    /// No job may begin.
    paused: bool,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    /// Until when it is certainly ours: the database began to count later than we did.
    deadline: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// For a slot.
    Waiting,
    /// It will not run here, and is to be given back.
    Withdrawn,
    /// Since then.
    Running(Instant),
    /// It ran since then, and what became of it is being written down. If that cannot be done, its lease must run out.
    Ending(Instant),
    /// It ran since then, and an operator has cancelled it.
    Cancelled(Instant),
}

/// Whether a claim is worth its round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// For so many jobs.
    For(usize),
    /// Not before then, since jobs are held back.
    NotBefore(Instant),
    /// Not before something has changed.
    None,
}

/// Why a job must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its lease is not certainly ours any more.
    LeaseRanOut,
    /// An operator wants it so.
    Cancelled,
}

impl Stage {
    fn since(self) -> Option<Instant> {
        match self {
            Self::Running(since) | Self::Ending(since) | Self::Cancelled(since) => Some(since),
            Self::Waiting | Self::Withdrawn => None,
        }
    }
}

impl LocalQueue {
    pub(super) fn new(queue: &'static str, slots: usize, throttle: Option<Throttle>) -> Self {
        Self {
            queue,
            slots,
            places: Mutex::new(Places { throttle, ..Places::default() }),
            room: Notify::new(),
            work: Notify::new(),
            cancelled: Notify::new(),
        }
    }

    pub(super) fn queue(&self) -> &'static str {
        self.queue
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Waits until a claim is worth its round trip and returns for how many jobs there is room. For one caller only.
    pub(super) async fn room(&self) -> usize {
        loop {
            let room = self.lock().room(self.slots);
            match room {
                Room::For(jobs) => return jobs,
                Room::NotBefore(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.room.notified() => {}
                },
                Room::None => self.room.notified().await,
            }
        }
    }

    /// Whether [`LocalQueue::adapt`] wants to know what waits.
    pub(super) fn is_paced_by_need(&self) -> bool {
        self.lock().throttle.as_ref().is_some_and(Throttle::is_by_need)
    }

    /// So many workers serve the queue, in which so much waits.
    pub(super) fn adapt(&self, workers: u32, waiting: Waiting) {
        if let Some(throttle) = &mut self.lock().throttle {
            throttle.adapt(workers, waiting, Instant::now());
        }
        self.room.notify_one();
    }

    /// Waits until there may be something to claim that was not there before. For one caller only.
    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    /// There may be something to claim. Any number of calls before the next claim count as one.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// A job was claimed. If its id is here already, that older lease was lost, and what runs under it ends.
    pub(super) fn hold(&self, lease: Lease, deadline: Instant) {
        let mut places = self.lock();
        places.held.insert(lease.job_id(), Held { lease, deadline, stage: Stage::Waiting });
        if let Some(throttle) = &mut places.throttle {
            throttle.begins(Instant::now());
        }
    }

    /// The job gets a slot. `false` means that it must not run: it was given back or lost meanwhile.
    pub(super) fn start(&self, lease: &Lease) -> bool {
        let now = Instant::now();
        let mut places = self.lock();
        let paused = places.paused;
        let holds = match places.get(lease).filter(|held| held.stage == Stage::Waiting) {
            Some(held) if paused => {
                held.stage = Stage::Withdrawn;
                false
            }
            Some(held) if held.deadline > now => {
                held.stage = Stage::Running(now);
                true
            }
            Some(_) => {
                places.held.remove(&lease.job_id());
                false
            }
            None => false,
        };
        drop(places);
        self.room.notify_one();
        holds
    }

    /// The job's work has ended. From here on its lease is not renewed.
    pub(super) fn end(&self, lease: &Lease) {
        if let Some(held) = self.lock().get(lease)
            && let Stage::Running(since) = held.stage
        {
            held.stage = Stage::Ending(since);
        }
    }

    /// The job has come to its end here, one way or another.
    pub(super) fn release(&self, lease: &Lease) {
        let mut places = self.lock();
        if let Some(held) = places.get(lease) {
            let since = held.stage.since();
            places.held.remove(&lease.job_id());
            if let Some(since) = since {
                places.prefetch.ended(since.elapsed());
            }
        }
        drop(places);
        self.room.notify_one();
    }

    /// Takes out all jobs that do not run yet. They will not run here.
    pub(super) fn take_waiting(&self) -> Vec<Lease> {
        let mut places = self.lock();
        places.held.extract_if(|_, held| held.stage.since().is_none()).map(|(_, held)| held.lease).collect()
    }

    /// An operator has paused the queue, or resumed it.
    pub(super) fn pause(&self, paused: bool) {
        let before = std::mem::replace(&mut self.lock().paused, paused);
        match (before, paused) {
            (false, true) => tracing::warn!(queue = self.queue, "an operator has paused the queue: no more jobs begin"),
            (true, false) => tracing::info!(queue = self.queue, "an operator has resumed the queue"),
            _ => return,
        }
        self.wake();
    }

    /// Operators have cancelled these jobs. Those that are here and run end now; those that wait for a slot get none.
    pub(super) fn cancel(&self, ids: &[i64]) {
        let mut places = self.lock();
        for id in ids {
            match places.held.get(id).map(|held| held.stage) {
                Some(Stage::Waiting | Stage::Withdrawn) => _ = places.held.remove(id),
                Some(Stage::Running(since)) => {
                    places.held.entry(*id).and_modify(|held| held.stage = Stage::Cancelled(since));
                }
                // What became of it is being written down, and that will be refused.
                Some(Stage::Ending(_) | Stage::Cancelled(_)) | None => {}
            }
        }
        drop(places);
        self.cancelled.notify_waiters();
    }

    /// The ids of all jobs that are here.
    pub(super) fn held(&self) -> Vec<i64> {
        self.lock().held.keys().copied().collect()
    }

    /// Jobs to be given back, since the queue is paused or they wait behind others which turned out to be long. They will
    /// not run here.
    pub(super) fn withdraw_excess(&self) -> Vec<Lease> {
        let mut places = self.lock();
        let starting = self.slots.saturating_sub(places.running().count());
        let keep = if places.paused { 0 } else { starting + places.ahead(self.slots) };
        let waiting = places.held.values_mut().filter(|held| held.stage == Stage::Waiting);
        for held in waiting.skip(keep) {
            held.stage = Stage::Withdrawn;
        }
        places.held.values().filter(|held| held.stage == Stage::Withdrawn).map(|held| held.lease).collect()
    }

    /// Leases of running jobs.
    pub(super) fn running(&self) -> Vec<Lease> {
        self.lock().held.values().filter(|held| held.stage.since().is_some()).map(|held| held.lease).collect()
    }

    /// Leases that are to be renewed, since they hold, but not for longer than `rest`.
    pub(super) fn due_within(&self, rest: Duration) -> Vec<Lease> {
        let now = Instant::now();
        let due = |held: &&Held| {
            held.deadline > now
                && held.deadline < now + rest
                && !matches!(held.stage, Stage::Ending(_) | Stage::Cancelled(_))
        };
        self.lock().held.values().filter(due).map(|held| held.lease).collect()
    }

    /// Leases were renewed. Those that left meanwhile, or belong to another local queue, are passed over.
    pub(super) fn extend(&self, leases: &[Lease], deadline: Instant) {
        let mut places = self.lock();
        for lease in leases {
            if let Some(held) = places.get(lease) {
                held.deadline = deadline;
            }
        }
    }

    /// Waits until a job must not go on.
    pub(super) async fn lost(&self, lease: &Lease) -> Loss {
        loop {
            // Before looking, so that nothing is missed in between.
            let cancelled = self.cancelled.notified();
            let held = self.lock().get(lease).map(|held| (held.deadline, held.stage));
            match held {
                Some((_, Stage::Cancelled(_))) => return Loss::Cancelled,
                Some((deadline, _)) if deadline > Instant::now() => tokio::select! {
                    () = sleep_until(deadline) => {}
                    () = cancelled => {}
                },
                _ => return Loss::LeaseRanOut,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Whole also after a panic: no method leaves it half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// The place of this very lease, and not of another one of the same job.
    fn get(&mut self, lease: &Lease) -> Option<&mut Held> {
        self.held.get_mut(&lease.job_id()).filter(|held| held.lease == *lease)
    }

    fn waiting(&self) -> impl Iterator<Item = &Held> {
        self.held.values().filter(|held| held.stage == Stage::Waiting)
    }

    /// Since when each running job runs.
    fn running(&self) -> impl Iterator<Item = Instant> {
        self.held.values().filter_map(|held| held.stage.since())
    }

    /// For how many jobs there is room: when a quarter of the slots can be filled, or at once when nothing waits for the
    /// next free slot.
    fn room(&self, slots: usize) -> Room {
        let free = (slots + self.ahead(slots)).saturating_sub(self.held.len());
        let worthwhile = free >= (slots / 4).max(1) || (free > 0 && self.waiting().next().is_none());
        match self.throttle.as_ref().map(|throttle| throttle.allowed(Instant::now())) {
            _ if !worthwhile => Room::None,
            None => Room::For(free.min(MAX_BATCH)),
            Some(Allowed::Jobs(allowed)) => Room::For(free.min(allowed).min(MAX_BATCH)),
            Some(Allowed::NotBefore(at)) => Room::NotBefore(at),
            Some(Allowed::NotYet) => Room::None,
        }
    }

    /// How many jobs to have waiting when all slots are taken. None where jobs are held back: one begins when it is claimed.
    fn ahead(&self, slots: usize) -> usize {
        if self.throttle.as_ref().is_some_and(Throttle::is_slow) {
            return 0;
        }
        let stalled = match self.running().max() {
            Some(last_start) if self.running().count() >= slots => last_start.elapsed(),
            _ => Duration::ZERO,
        };
        self.prefetch.ahead(slots, stalled)
    }
}
