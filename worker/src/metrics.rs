//! What the worker counts.

use std::time::Duration;

use common::{deliveries::Source, metrics::Histograms};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Seconds. From a job that only touches a row to one that takes what it may.
const DURATIONS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
/// Seconds. From a job that is claimed at once to one for which there are far too few workers.
const WAITS: [f64; 12] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];
/// Seconds. From a claim on a warm connection to one that is given up.
const CLAIMS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// The worker's own metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    attempts: Family<Attempt, Counter>,
    panics: Family<Kind, Counter>,
    timeouts: Family<Kind, Counter>,
    durations: Histograms<Kind>,
    waits: Histograms<Kind>,
    slots: Family<Queue, Gauge>,
    slots_in_use: Family<Queue, Gauge>,
    claims: Histograms<Queue>,
    reaped: Counter,
    deliveries: Family<Delivery, Counter>,
}

/// How an attempt at a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Retried,
    Dead,
    /// Given back for a release that knows it.
    Deferred,
    /// It has become pointless, or an operator cancelled it.
    Cancelled,
    LeaseLost,
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Done, Outcome::Retried, Outcome::Dead, Outcome::Deferred, Outcome::Cancelled, Outcome::LeaseLost];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    kind: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivery {
    source: &'static str,
    r#type: String,
    outcome: &'static str,
}

impl Outcome {
    /// As a label, and in a trace.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Deferred => "deferred",
            Self::Cancelled => "cancelled",
            Self::LeaseLost => "lease_lost",
        }
    }
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            panics: Family::default(),
            timeouts: Family::default(),
            durations: Histograms::new_with_constructor(|| Histogram::new(DURATIONS)),
            waits: Histograms::new_with_constructor(|| Histogram::new(WAITS)),
            slots: Family::default(),
            slots_in_use: Family::default(),
            claims: Histograms::new_with_constructor(|| Histogram::new(CLAIMS)),
            reaped: Counter::default(),
            deliveries: Family::default(),
        };
        let m = &metrics;
        registry.register("job_attempts", "Attempts at jobs by how they ended", m.attempts.clone());
        registry.register("job_panics", "Attempts that panicked", m.panics.clone());
        registry.register("job_timeouts", "Attempts that took longer than they may", m.timeouts.clone());
        let help = "How long attempts took";
        registry.register_with_unit("job_duration", help, Unit::Seconds, m.durations.clone());
        let help = "How long jobs had been due when they were claimed";
        registry.register_with_unit("job_wait", help, Unit::Seconds, m.waits.clone());
        registry.register("job_slots", "Jobs that may run at once in this process", m.slots.clone());
        registry.register("job_slots_in_use", "Jobs that run in this process", m.slots_in_use.clone());
        let help = "How long claims took, each for any number of jobs";
        registry.register_with_unit("claim_duration", help, Unit::Seconds, m.claims.clone());
        let help = "Jobs that this process took back from workers that crashed, hung or were cut off";
        registry.register("jobs_reaped", help, m.reaped.clone());
        let help = "Deliveries by what they meant; one that is rolled back counts again";
        registry.register("deliveries_processed", help, m.deliveries.clone());
        metrics
    }

    /// A queue is served with this many slots.
    pub(crate) fn serves(&self, queue: &'static str, slots: usize) {
        self.slots.get_or_create(&Queue { queue }).set(i64::try_from(slots).unwrap_or(i64::MAX));
        self.slots_in_use.get_or_create(&Queue { queue }).set(0);
    }

    /// A kind of job may come. Its counters begin at zero: else the first failure would be no increase.
    pub(crate) fn knows(&self, kind: &str) {
        let kind = Kind { kind: kind.to_owned() };
        for outcome in OUTCOMES {
            self.attempts.get_or_create(&Attempt { kind: kind.kind.clone(), outcome: outcome.as_str() }).inc_by(0);
        }
        self.panics.get_or_create(&kind).inc_by(0);
        self.timeouts.get_or_create(&kind).inc_by(0);
    }

    /// A claim was answered.
    pub(crate) fn claimed(&self, queue: &'static str, took: Duration) {
        self.claims.get_or_create(&Queue { queue }).observe(took.as_secs_f64());
    }

    /// A job got a slot, after it had been due for so many seconds when it was claimed.
    pub(crate) fn began(&self, queue: &'static str, kind: &str, waited: f64) {
        self.slots_in_use.get_or_create(&Queue { queue }).inc();
        self.waits.get_or_create(&Kind { kind: kind.to_owned() }).observe(waited);
    }

    /// A slot is free again.
    pub(crate) fn left(&self, queue: &'static str) {
        self.slots_in_use.get_or_create(&Queue { queue }).dec();
    }

    /// An attempt has ended.
    pub(crate) fn ended(&self, kind: &str, outcome: Outcome, took: Duration) {
        let attempt = Attempt { kind: kind.to_owned(), outcome: outcome.as_str() };
        self.attempts.get_or_create(&attempt).inc();
        self.durations.get_or_create(&Kind { kind: attempt.kind }).observe(took.as_secs_f64());
    }

    pub(crate) fn panicked(&self, kind: &str) {
        self.panics.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// An attempt took too long.
    pub(crate) fn timed_out(&self, kind: &str) {
        self.timeouts.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// Jobs were taken back from workers that are gone.
    pub(crate) fn reaped(&self, jobs: u64) {
        self.reaped.inc_by(jobs);
    }

    /// A delivery was processed.
    pub(crate) fn delivery(&self, source: Source, event_type: String, outcome: &'static str) {
        self.deliveries.get_or_create(&Delivery { source: source.as_str(), r#type: event_type, outcome }).inc();
    }
}
