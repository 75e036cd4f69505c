//! The queue: every statement on the `jobs` table. Jobs are written down in the transaction that causes them, claimed
//! under a lease, and completed in the transaction of their effects. The life cycle is drawn in `docs/operations/queue.md`.

mod admin;
mod claim;
mod enqueue;
mod finish;
mod history;
mod lease;
mod listener;
mod pause;
mod periodic;
mod prune;
mod stats;
mod upkeep;
mod workers;

pub use admin::{Cancel, JobCount, JobFilter, JobRecord, STATES, cancel, count, kinds, list, queues, retry};
pub use claim::{Claim, ClaimToken, ClaimedJob};
pub use enqueue::{Enqueued, NewJob, enqueue};
pub use finish::{NextState, Retry, complete, defer, drop_pointless, fail};
pub use lease::{Lease, LeaseError};
pub use listener::{Heard, Listener};
pub use pause::{Interventions, PausedQueue, pause, paused, resume};
pub use periodic::Periodic;
pub use prune::{Over, prunable, prune};
pub use stats::{Stats, Waiting, stats};
pub use workers::{WorkerProcess, WorkerRecord, workers};

pub use crate::{db::DedicatedConnection, jobs::Job, seek::Seek};
