use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::{Begin, Pool, Result, with_timeout};
use crate::telemetry::error_chain;

/// The channel on which committed work is announced, and on which workers listen.
pub(crate) const CHANNEL: &str = "norvalt_jobs";
/// What an announcement that names queues begins with. One without a name means any queue.
pub(crate) const QUEUES: &str = "queues:";
/// How long an announcement may take.
const LIMIT: Duration = Duration::from_secs(3);
/// From one announcement to the next, at least. Who is busy looks for more without being told.
const INTERVAL: Duration = Duration::from_millis(5);

/// Announces committed work. NOTIFY takes a lock of the whole database at commit, so it is kept out of the enqueuing
/// transactions: one task of the process sends it, once for all that were committed while the last one was under way.
/// An announcement that is lost with its process costs latency, not work: workers also poll.
#[derive(Debug, Clone)]
pub(super) struct Notifier(Arc<Announcements>);

#[derive(Debug)]
struct Announcements {
    queues: Arc<Queues>,
    asked_for: watch::Sender<u64>,
    sent: watch::Receiver<u64>,
}

/// The queues that are still to be announced.
#[derive(Debug, Default)]
struct Queues(Mutex<BTreeSet<String>>);

impl Notifier {
    /// Starts the task. It ends when the last clone is gone.
    pub(super) fn start(pool: Pool) -> Self {
        let (asked_for, requests) = watch::channel(0);
        let (done, sent) = watch::channel(0);
        let queues = Arc::<Queues>::default();
        tokio::spawn(announce(pool, queues.clone(), requests, done));
        Self(Arc::new(Announcements { queues, asked_for, sent }))
    }

    /// Something was committed in these queues, if there are any.
    pub(super) fn notify(&self, queues: BTreeSet<String>) {
        if !queues.is_empty() {
            self.0.queues.lock().extend(queues);
            self.0.asked_for.send_modify(|count| *count += 1);
        }
    }

    /// Waits until everything so far has been announced, or could not be.
    pub(super) async fn flush(&self) {
        let wanted = *self.0.asked_for.borrow();
        // An error means that the task is gone, and with it the runtime.
        let _ = self.0.sent.clone().wait_for(|sent| *sent >= wanted).await;
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Whole also after a panic: nothing is done in several steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn announce(pool: Pool, queues: Arc<Queues>, mut requests: watch::Receiver<u64>, done: watch::Sender<u64>) {
    while requests.changed().await.is_ok() {
        let wanted = *requests.borrow_and_update();
        let queues = mem::take(&mut *queues.lock());
        // They may have gone out with the announcement before.
        if !queues.is_empty()
            && let Err(error) = announce_once(&pool, &queues).await
        {
            tracing::warn!(
                error = error_chain(&error),
                "could not wake the workers; they will find the work by polling"
            );
        }
        done.send_replace(wanted);
        sleep(INTERVAL).await;
    }
}

async fn announce_once(pool: &Pool, queues: &BTreeSet<String>) -> Result<()> {
    let announcement = pool.begin(&Begin::announcement(notify(queues))).await?;
    with_timeout(LIMIT, announcement.commit()).await
}

/// The announcement, which goes out at the commit. A name that would have to be quoted is not said.
fn notify(queues: &BTreeSet<String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if queues.iter().all(|queue| queue.chars().all(plain)) {
        let names = queues.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        format!("NOTIFY {CHANNEL}, '{QUEUES}{names}'")
    } else {
        format!("NOTIFY {CHANNEL}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_sql() {
        let announced = |names: &[&str]| notify(&names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(announced(&["email", "clerk"]), "NOTIFY norvalt_jobs, 'queues:clerk,email'");
        assert_eq!(announced(&["email", "it's"]), "NOTIFY norvalt_jobs");
        assert_eq!(announced(&["a,b"]), "NOTIFY norvalt_jobs");
    }
}
