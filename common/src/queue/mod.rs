//! The queue: every statement on the `jobs` table. Jobs are written down in the transaction that causes them, claimed
//! under a lease, and completed in the transaction of their effects. The life cycle is drawn in `docs/operations.md`.

mod enqueue;
mod waker;

pub use enqueue::{Enqueued, Job, NewJob, enqueue};
pub use waker::{CHANNEL, Waker};
