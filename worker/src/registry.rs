use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use common::queue::{ClaimedJob, Job, Periodic};

use crate::{
    behaviour::Behaviour,
    kinds::{IdempotentJob, NetworkJob, SystemJob, TenantJob},
};

/// The kinds of jobs that a worker knows, by name and version of the payload.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<(&'static str, i16), Kind>,
    periodic: Vec<Periodic>,
}

#[derive(Clone, Copy)]
struct Kind {
    queue: &'static str,
    timeout: Duration,
    decode: fn(&str) -> serde_json::Result<Behaviour>,
}

/// Why a job cannot be run by this worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unrunnable {
    /// A newer release may know it.
    #[error("this release does not know version {1} of the job kind {0}")]
    Unknown(String, i16),
    /// It was known and is not any more.
    #[error("this release no longer knows version {1} of the job kind {0}")]
    Outdated(String, i16),
    /// What it says is not what its kind and version promise. Serde's message may quote a value, which may be
    /// personal: this keeps to where and what kind.
    #[error("the payload cannot be read: {:?} error at column {}", .0.classify(), .0.column())]
    Unreadable(serde_json::Error),
}

impl Registry {
    /// Adds a kind. Jobs of an older version that may still be in the queue need a type of their own, of the same
    /// `KIND`, if the present type cannot read them.
    ///
    /// # Panics
    /// When the kind is there already.
    #[must_use]
    pub fn system<J: SystemJob>(self) -> Self {
        self.add::<J>(J::TIMEOUT, |payload| Ok(Behaviour::system(serde_json::from_str::<J>(payload)?)))
    }

    /// Adds a kind, as [`Registry::system`] does.
    ///
    /// # Panics
    /// When the kind is there already.
    #[must_use]
    pub fn tenant<J: TenantJob>(self) -> Self {
        self.add::<J>(J::TIMEOUT, |payload| Ok(Behaviour::tenant(serde_json::from_str::<J>(payload)?)))
    }

    /// Adds a kind, as [`Registry::system`] does.
    ///
    /// # Panics
    /// When the kind is there already.
    #[must_use]
    pub fn network<J: NetworkJob>(self) -> Self {
        const { assert!(J::BURIED_BY_WORKER, "what it writes down when it dies must not be lost with its worker") };
        self.add::<J>(J::TIMEOUT, |payload| Ok(Behaviour::network(serde_json::from_str::<J>(payload)?)))
    }

    /// Adds a kind, as [`Registry::system`] does.
    ///
    /// # Panics
    /// When the kind is there already.
    #[must_use]
    pub fn idempotent<J: IdempotentJob>(self) -> Self {
        self.add::<J>(J::TIMEOUT, |payload| Ok(Behaviour::idempotent(serde_json::from_str::<J>(payload)?)))
    }

    /// Has a job of a kind that was added enqueued once for each interval, by one worker of all there are. An interval is
    /// skipped while the job of an earlier one is unfinished, and not made up for when no worker was there.
    ///
    /// # Panics
    /// When the kind was not added.
    #[must_use]
    pub fn every<J: Job>(mut self, interval: Duration, job: &J) -> Self {
        assert!(self.kinds.contains_key(&(J::KIND, J::VERSION)), "nobody runs the periodic job {}", J::KIND);
        self.periodic.push(Periodic::new(job, interval));
        self
    }

    fn add<J: Job>(mut self, timeout: Duration, decode: fn(&str) -> serde_json::Result<Behaviour>) -> Self {
        let replaced = self.kinds.insert((J::KIND, J::VERSION), Kind { queue: J::QUEUE, timeout, decode });
        assert!(replaced.is_none(), "version {} of the job kind {} is registered twice", J::VERSION, J::KIND);
        self
    }

    /// What is to be enqueued by itself.
    pub(crate) fn periodic(&self) -> Vec<Periodic> {
        self.periodic.clone()
    }

    /// The queues in which these kinds wait.
    pub(crate) fn queues(&self) -> BTreeSet<&'static str> {
        self.kinds.values().map(|kind| kind.queue).collect()
    }

    /// Their names, each with its queue.
    pub(crate) fn kinds(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.kinds.iter().map(|((name, _), kind)| (*name, kind.queue)).collect()
    }

    /// What to do for a job, and how long that may take.
    pub(crate) fn work(&self, job: &ClaimedJob) -> Result<(Behaviour, Duration), Unrunnable> {
        let (name, version) = (job.kind.as_str(), job.payload_version);
        match self.kinds.get(&(name, version)) {
            Some(kind) => Ok(((kind.decode)(&job.payload).map_err(Unrunnable::Unreadable)?, kind.timeout)),
            None if self.kinds.range((name, version)..=(name, i16::MAX)).next().is_some() => {
                Err(Unrunnable::Outdated(name.to_owned(), version))
            }
            None => Err(Unrunnable::Unknown(name.to_owned(), version)),
        }
    }
}
