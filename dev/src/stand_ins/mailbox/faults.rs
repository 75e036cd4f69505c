use serde::Deserialize;

use crate::stand_ins::active_fault::{self, ActiveFaults};

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
pub type ActiveFault = active_fault::ActiveFault<Fault>;
/// The troubles of the next messages.
pub(super) type Faults = ActiveFaults<Fault>;

impl Fault {
    pub const ALL: [Self; 7] =
        [Self::Slow, Self::Down, Self::Busy, Self::Refuse, Self::CutAfterData, Self::Bounce, Self::Complain];

    /// For so many messages.
    pub fn times(self, count: usize) -> ActiveFault {
        ActiveFault::new(self, Some(count))
    }

    pub fn until_told_otherwise(self) -> ActiveFault {
        ActiveFault::new(self, None)
    }
}
