//! The seam to apalis: it takes jobs from the claimers and runs them in its slots. All else is ours, and apalis never
//! sees an error or an end before the claimer has stopped, since its worker would end with it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use apalis::prelude::{
    Backend, Data, Event, Monitor, MonitorContext, MonitorError, ParallelizeExt, Task, TaskBuilder, WorkerBuilder,
    WorkerBuilderExt, WorkerContext,
};
use apalis_core::{
    backend::{BackendConfig, finalize::Ephemeral},
    layers::Identity,
};
use common::queue::ClaimedJob;
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{execution::Execution, local_queue::LocalQueue};

/// Runs the jobs of all local queues in their slots. Dropping it aborts what runs in them.
pub(super) struct Executor {
    monitor: BoxFuture<'static, Result<(), MonitorError>>,
    context: MonitorContext,
}

impl Executor {
    /// Runs what comes through the channels.
    pub(super) fn open(local_queues: Vec<(Execution, mpsc::UnboundedReceiver<ClaimedJob>)>) -> Self {
        let monitor = Monitor::new().on_event(|_, event| {
            if let Event::Error(error) = event {
                tracing::error!(%error, "a job ended in a way it should not; it runs again when its lease has run out");
            }
        });
        let monitor =
            local_queues.into_iter().fold(monitor, |monitor, (execution, jobs)| register(monitor, execution, jobs));
        Self { context: monitor.context(), monitor: monitor.run().boxed() }
    }

    /// Lets no more jobs begin.
    pub(super) fn close(&self) {
        // Its result is always Ok.
        let _ = self.context.shutdown();
    }

    /// Waits until all jobs have ended, which they do only after [`Executor::close`].
    pub(super) async fn ended(&mut self) -> Result<(), MonitorError> {
        (&mut self.monitor).await
    }
}

/// Has apalis run a local queue's jobs.
fn register(monitor: Monitor, execution: Execution, jobs: mpsc::UnboundedReceiver<ClaimedJob>) -> Monitor {
    let local_queue = execution.local_queue();
    let execution = Arc::new(execution);
    // A worker that ended has lost its jobs: it is not started again, the process ends.
    let once = Mutex::new(Some(ClaimedJobs { local_queue: local_queue.clone(), jobs }));
    monitor.register(move |_| {
        let jobs = once.lock().ok().and_then(|mut jobs| jobs.take());
        WorkerBuilder::new(local_queue.queue())
            .backend(
                jobs.expect("apalis calls this a second time only to restart a worker, which needs should_restart"),
            )
            .concurrency(local_queue.slots())
            .parallelize(spawn)
            .data(execution.clone())
            .build(execute)
    })
}

/// What apalis calls for each job. It learns nothing of how the job went: the row in `jobs` says that.
async fn execute(job: ClaimedJob, execution: Data<Arc<Execution>>) {
    execution.run(job).await;
}

/// What the claimer has claimed for a local queue.
struct ClaimedJobs {
    local_queue: Arc<LocalQueue>,
    jobs: mpsc::UnboundedReceiver<ClaimedJob>,
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
                Poll::Ready(Some(job)) if !self.local_queue.start(&job.lease) => continue,
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
fn spawn<F>(job: F) -> AbortOnDrop<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    AbortOnDrop(tokio::spawn(job))
}

/// A task that ends when apalis' worker is dropped: its transaction rolls back.
struct AbortOnDrop<T>(JoinHandle<T>);

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
