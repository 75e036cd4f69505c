//! The queue: every statement on the `jobs` table. Jobs are written down in the transaction that causes them, claimed
//! under a lease, and completed in the transaction of their effects. The life cycle is drawn in `docs/operations/queue.md`.

mod admin;
mod claim;
mod connection;
mod enqueue;
mod finish;
mod history;
mod lease;
mod listener;
mod notifier;
mod pause;
mod periodic;
mod prune;
mod stats;
mod upkeep;
mod workers;

pub use admin::{Cancel, JobCount, JobFilter, JobRecord, STATES, Seek, cancel, count, kinds, list, queues, retry};
pub use claim::{Claim, ClaimToken, ClaimedJob};
pub use connection::DedicatedConnection;
pub use enqueue::{Enqueued, Job, NewJob, enqueue};
pub use finish::{NextState, Retry, complete, defer, drop_pointless, fail};
pub use lease::{Lease, LeaseError};
pub use listener::{Heard, Listener};
pub use notifier::{CHANNEL, Notifier};
pub use pause::{Interventions, PausedQueue, pause, paused, resume};
pub use periodic::Periodic;
pub use prune::{Over, prunable, prune};
pub use stats::{Stats, stats};
pub use workers::{WorkerProcess, WorkerRecord, workers};
