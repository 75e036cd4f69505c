use serde::Deserialize;

use crate::stand_ins::active_fault::{self, ActiveFaults};

/// What may be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
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
pub type ActiveFault = active_fault::ActiveFault<Fault>;
/// The troubles of the next answers.
pub(super) type Faults = ActiveFaults<Fault>;

impl Fault {
    /// For so many answers.
    pub fn times(self, count: usize) -> ActiveFault {
        ActiveFault::new(self, Some(count))
    }

    pub fn until_told_otherwise(self) -> ActiveFault {
        ActiveFault::new(self, None)
    }
}
