//! The queue: every statement on the `jobs` table. Jobs are written down in the transaction that causes them, claimed
//! under a lease, and completed in the transaction of their effects. The life cycle is drawn in `docs/operations/queue.md`.

mod claim;
mod connection;
mod enqueue;
mod finish;
mod history;
mod lease;
mod listener;
mod operate;
mod periodic;
mod prune;
mod stats;
mod upkeep;
mod waker;

pub use claim::{Claim, ClaimToken, ClaimedJob};
pub use connection::QueueConnection;
pub use enqueue::{Enqueued, Job, NewJob, enqueue};
pub use finish::{NextState, Retry, complete, defer, drop_pointless, fail};
pub use lease::{Lease, LeaseError};
pub use listener::Listener;
pub use operate::{JobCount, JobFilter, JobRecord, STATES, cancel, count, list, revive};
pub use periodic::Periodic;
pub use prune::{Over, prunable, prune};
pub use stats::{Stats, stats};
pub use waker::{CHANNEL, Waker};
