use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Pooled connections that no job may keep: to announce work, and to write down what became of a job.
const SPARE: u32 = 2;

/// The pool's connections for jobs, which the jobs of all queues share. Whoever waits here waits in line, for as long as it
/// takes; in the pool it would be told after a moment that the database is away.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Semaphore>);

impl Connections {
    /// Of a pool of this size.
    pub(super) fn of_pool(size: u32) -> Self {
        Self(Arc::new(Semaphore::new(size.saturating_sub(SPARE).max(1) as usize)))
    }

    /// Waits for the right to use one connection.
    pub(super) async fn get(&self) -> SemaphorePermit<'_> {
        self.0.acquire().await.expect("it is never closed")
    }
}
