use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// What may be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Late.
    Slow,
    /// 529 or 503.
    Down,
    /// 429, and how long to wait.
    Busy,
    /// 429 without: what may be spent is spent.
    Capped,
    /// Text that is not in the schema.
    Nonsense,
    /// `stop_reason: refusal`.
    Refusal,
    /// `stop_reason: max_tokens`, in the middle of the text.
    Cut,
    /// A reply with a link and a discount that nobody gave.
    Injection,
}

/// A fault, for some answers or until told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    pub fault: Fault,
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

impl Fault {
    /// For so many answers.
    pub fn times(self, count: usize) -> Trouble {
        Trouble { count: Some(count), ..self.until_told_otherwise() }
    }

    pub fn until_told_otherwise(self) -> Trouble {
        Trouble { fault: self, count: None, seconds: some_seconds() }
    }
}

/// The troubles of the next answers.
#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Trouble>>);

impl Faults {
    /// Replaces one of the same kind.
    pub(super) fn set(&self, trouble: Trouble) {
        let mut troubles = self.troubles();
        troubles.retain(|other| other.fault != trouble.fault);
        troubles.push(trouble);
    }

    pub(super) fn end_all(&self) {
        self.troubles().clear();
    }

    /// What is wrong with the next answer, counted: those for some answers go first.
    pub(super) fn next(&self) -> Option<Trouble> {
        let mut troubles = self.troubles();
        troubles.retain(|trouble| trouble.count != Some(0));
        let counted = troubles.iter().position(|trouble| trouble.count.is_some());
        let trouble = troubles.get_mut(counted.unwrap_or_default())?;
        trouble.count = trouble.count.map(|count| count - 1);
        Some(*trouble)
    }

    fn troubles(&self) -> MutexGuard<'_, Vec<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
