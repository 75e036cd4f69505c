//! What may be wrong with a stand-in, for some of its answers or until told otherwise.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;

/// A fault, for some answers or until told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveFault<F> {
    pub fault: F,
    /// For how many answers; for all, if not told.
    #[serde(default)]
    pub count: Option<usize>,
    /// How late, or how long to wait.
    #[serde(default = "some_seconds")]
    pub seconds: u64,
}

fn some_seconds() -> u64 {
    5
}

impl<F> ActiveFault<F> {
    pub(crate) fn new(fault: F, count: Option<usize>) -> Self {
        Self { fault, count, seconds: some_seconds() }
    }

    #[must_use]
    pub fn with_seconds(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// The troubles of the next answers.
pub(crate) struct ActiveFaults<F>(Mutex<Vec<ActiveFault<F>>>);

impl<F> Default for ActiveFaults<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: Copy + PartialEq> ActiveFaults<F> {
    /// Replaces one of the same kind.
    pub(crate) fn set(&self, trouble: ActiveFault<F>) {
        let mut troubles = self.all();
        troubles.retain(|other| other.fault != trouble.fault);
        troubles.push(trouble);
        troubles.retain(|trouble| trouble.count != Some(0));
    }

    pub(crate) fn end(&self, fault: F) {
        self.all().retain(|trouble| trouble.fault != fault);
    }

    pub(crate) fn end_all(&self) {
        self.all().clear();
    }

    pub(crate) fn active(&self) -> Vec<ActiveFault<F>> {
        self.all().clone()
    }

    /// What is wrong with the next answer, counted: those for some answers go first.
    pub(crate) fn next(&self) -> Option<ActiveFault<F>> {
        self.next_if(|_| true)
    }

    /// The next one, if it is such a one.
    pub(crate) fn next_if(&self, is_such: impl Fn(F) -> bool) -> Option<ActiveFault<F>> {
        let mut troubles = self.all();
        let counted = troubles.iter().position(|trouble| trouble.count.is_some());
        let trouble = troubles.get_mut(counted.unwrap_or_default()).filter(|trouble| is_such(trouble.fault))?;
        trouble.count = trouble.count.map(|count| count - 1);
        let now = *trouble;
        troubles.retain(|trouble| trouble.count != Some(0));
        Some(now)
    }

    fn all(&self) -> MutexGuard<'_, Vec<ActiveFault<F>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
