//! The seam to apalis: it takes jobs from the claimer and runs them in its slots. All else is ours, and apalis never
//! sees an error or an end before the claimer has stopped, since its worker would end with it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use apalis::prelude::{Backend, Task, TaskBuilder, WorkerContext};
use apalis_core::{
    backend::{BackendConfig, finalize::Ephemeral},
    layers::Identity,
};
use common::queue::ClaimedJob;
use tokio::{sync::mpsc, task::JoinHandle};

use super::lane::Lane;

/// What the claimer has claimed for a lane.
pub(super) struct ClaimedJobs {
    lane: Arc<Lane>,
    jobs: mpsc::UnboundedReceiver<ClaimedJob>,
}

impl ClaimedJobs {
    pub(super) fn new(lane: Arc<Lane>, jobs: mpsc::UnboundedReceiver<ClaimedJob>) -> Self {
        Self { lane, jobs }
    }
}

impl Backend for ClaimedJobs {
    type Task = Task<ClaimedJob>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Called only when a slot is free: whatever is returned here runs now.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<ClaimedJob>, Infallible>>> {
        loop {
            return match self.jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) if !self.lane.start(&job.lease) => continue,
                Poll::Ready(Some(job)) => Poll::Ready(Some(Ok(TaskBuilder::new(job).build()))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for ClaimedJobs {
    type Args = ClaimedJob;
    type Id = i64;
    /// Jobs come as they are; apalis has nothing to decode.
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// Spawns each job as a task of its own, so that a panic in one cannot end apalis' worker.
pub(super) fn spawn<F>(job: F) -> AbortOnDrop<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    AbortOnDrop(tokio::spawn(job))
}

/// A task that ends when apalis' worker is dropped: its transaction rolls back.
pub(super) struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
