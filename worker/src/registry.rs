use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use common::{db::SystemTx, queue::ClaimedJob};
use futures::{FutureExt, future::BoxFuture};

use crate::jobs::{JobContext, JobError, Perform};

/// The kinds of jobs that a worker knows, by name and version of the payload.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<(&'static str, i16), Kind>,
}

#[derive(Clone, Copy)]
struct Kind {
    queue: &'static str,
    timeout: Duration,
    decode: fn(&str) -> serde_json::Result<Work>,
}

/// One job's behaviour with its payload.
pub(crate) type Work =
    Box<dyn for<'a> FnOnce(&'a JobContext, &'a mut SystemTx) -> BoxFuture<'a, Result<(), JobError>> + Send>;

/// Why a job cannot be run by this worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
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
    pub fn with<J: Perform>(mut self) -> Self {
        let kind = Kind { queue: J::QUEUE, timeout: J::TIMEOUT, decode: decode::<J> };
        let replaced = self.kinds.insert((J::KIND, J::VERSION), kind);
        assert!(replaced.is_none(), "version {} of the job kind {} is registered twice", J::VERSION, J::KIND);
        self
    }

    /// The queues in which these kinds wait.
    pub(crate) fn queues(&self) -> BTreeSet<&'static str> {
        self.kinds.values().map(|kind| kind.queue).collect()
    }

    /// What to do for a job, and how long that may take.
    pub(crate) fn work(&self, job: &ClaimedJob) -> Result<(Work, Duration), Unfit> {
        let (name, version) = (job.kind.as_str(), job.payload_version);
        match self.kinds.get(&(name, version)) {
            Some(kind) => Ok(((kind.decode)(&job.payload).map_err(Unfit::Unreadable)?, kind.timeout)),
            None if self.kinds.range((name, version)..=(name, i16::MAX)).next().is_some() => {
                Err(Unfit::Outdated(name.to_owned(), version))
            }
            None => Err(Unfit::Unknown(name.to_owned(), version)),
        }
    }
}

fn decode<J: Perform>(payload: &str) -> serde_json::Result<Work> {
    let job: J = serde_json::from_str(payload)?;
    Ok(Box::new(|context, tx| job.perform(context, tx).boxed()))
}
