use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use crate::{
    db::{Begin, Pool, Result, with_timeout},
    telemetry::chain,
};

/// The channel on which committed work is announced, and on which workers listen.
pub const CHANNEL: &str = "norvalt_jobs";
/// The announcement, which goes out at the commit.
const ANNOUNCE: &str = "NOTIFY norvalt_jobs";
/// How long that may take.
const LIMIT: Duration = Duration::from_secs(3);
/// From one announcement to the next, at least. Who is busy looks for more without being told.
const PACE: Duration = Duration::from_millis(5);

/// Announces committed work. NOTIFY takes a lock of the whole database at commit, so it is kept out of the enqueuing
/// transactions: one task of the process sends it, once for all that were committed while the last one was under way.
/// An announcement that is lost with its process costs latency, not work: workers also poll.
#[derive(Debug, Clone)]
pub struct Waker {
    wanted: Arc<watch::Sender<u64>>,
    sent: watch::Receiver<u64>,
}

impl Waker {
    /// Starts the task. It ends when the last clone is gone.
    pub(crate) fn start(pool: Pool) -> Self {
        let (wanted, requests) = watch::channel(0);
        let (done, sent) = watch::channel(0);
        tokio::spawn(announce(pool, requests, done));
        Self { wanted: Arc::new(wanted), sent }
    }

    /// Something was committed.
    pub(crate) fn wake(&self) {
        self.wanted.send_modify(|count| *count += 1);
    }

    /// Waits until everything so far has been announced, or could not be.
    pub(crate) async fn flush(&self) {
        let wanted = *self.wanted.borrow();
        // An error means that the task is gone, and with it the runtime.
        let _ = self.sent.clone().wait_for(|sent| *sent >= wanted).await;
    }
}

async fn announce(pool: Pool, mut requests: watch::Receiver<u64>, done: watch::Sender<u64>) {
    while requests.changed().await.is_ok() {
        let wanted = *requests.borrow_and_update();
        if let Err(error) = announce_once(&pool).await {
            tracing::warn!(error = chain(&error), "could not wake the workers; they will find the work by polling");
        }
        done.send_replace(wanted);
        sleep(PACE).await;
    }
}

async fn announce_once(pool: &Pool) -> Result<()> {
    let announcement = pool.begin(&Begin::announcement(ANNOUNCE)).await?;
    with_timeout(LIMIT, announcement.commit()).await
}
