use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;

/// What may be wrong with those who carry messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Connections are closed at once.
    Down,
    /// The answer comes late.
    Slow,
    /// Not now: 4yz, or 429 with how long to wait.
    Busy,
    /// Never: 5yz or 4xx.
    Refuse,
    /// The message is taken, and the connection closed before that is said.
    CutAfterData,
    /// The message is taken, and a report follows that it did not arrive.
    Bounce,
    /// The message arrives, and the customer complains.
    Complain,
}

/// A fault, for some messages or until told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    pub fault: Fault,
    /// For how many messages; for all, if not told.
    #[serde(default)]
    pub count: Option<usize>,
    /// How late, or how long to wait.
    #[serde(default = "some_seconds")]
    pub seconds: u64,
}

fn some_seconds() -> u64 {
    5
}

impl Fault {
    pub const ALL: [Self; 7] =
        [Self::Slow, Self::Down, Self::Busy, Self::Refuse, Self::CutAfterData, Self::Bounce, Self::Complain];

    /// For so many messages.
    pub fn times(self, count: usize) -> Trouble {
        Trouble { count: Some(count), ..self.until_told_otherwise() }
    }

    pub fn until_told_otherwise(self) -> Trouble {
        Trouble { fault: self, count: None, seconds: some_seconds() }
    }
}

impl Trouble {
    #[must_use]
    pub fn with_seconds(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// The troubles of the next messages.
#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Trouble>>);

impl Faults {
    /// Replaces one of the same kind.
    pub(super) fn set(&self, trouble: Trouble) {
        let mut troubles = self.troubles();
        troubles.retain(|other| other.fault != trouble.fault);
        troubles.push(trouble);
        troubles.retain(|trouble| trouble.count != Some(0));
    }

    pub(super) fn end(&self, fault: Fault) {
        self.troubles().retain(|trouble| trouble.fault != fault);
    }

    pub(super) fn end_all(&self) {
        self.troubles().clear();
    }

    pub(super) fn active(&self) -> Vec<Trouble> {
        self.troubles().clone()
    }

    /// What is wrong with the next message, counted: those for some messages go first.
    pub(super) fn next(&self) -> Option<Trouble> {
        self.next_if(|_| true)
    }

    /// Whether nobody is there, counted.
    pub(super) fn is_down(&self) -> bool {
        self.next_if(|trouble| trouble.fault == Fault::Down).is_some()
    }

    /// The next one, if it is such a one.
    fn next_if(&self, is_such: impl Fn(&Trouble) -> bool) -> Option<Trouble> {
        let mut troubles = self.troubles();
        let counted = troubles.iter().position(|trouble| trouble.count.is_some());
        let trouble = troubles.get_mut(counted.unwrap_or_default()).filter(|trouble| is_such(trouble))?;
        trouble.count = trouble.count.map(|count| count - 1);
        let now = *trouble;
        troubles.retain(|trouble| trouble.count != Some(0));
        Some(now)
    }

    fn troubles(&self) -> MutexGuard<'_, Vec<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
