//! Who may use the database now. As many requests as it has connections for do; some wait, for a short time; the rest
//! is told at once to come back, so that what is taken stays fast.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::db::Db;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::problem::Problem;

/// How many requests may wait for each connection: about as many as one serves in half a second.
const MAX_WAITING_PER_CONNECTION: usize = 128;
/// How long a request waits in a rush, which passes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits when nobody has found a free connection for as long as [`PATIENCE`]. There is then always somebody
/// who waits, and nothing is gained by a longer queue than keeps connections busy.
/// <https://queue.acm.org/detail.cfm?id=2839461>, “Adaptive LIFO and controlled delay”
const IMPATIENCE: Duration = Duration::from_millis(100);

/// The way to the database for requests.
#[derive(Clone)]
pub(crate) struct Admission {
    db: Db,
    free: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    overload: Arc<Overload>,
}

/// Permission to use one connection.
pub(crate) struct Permit {
    db: Db,
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    /// The database, to be used for one transaction at a time.
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }
}

impl Admission {
    /// As many at once as the pool of `db` has `connections`.
    pub(crate) fn new(db: Db, connections: u32) -> Self {
        let connections = usize::try_from(connections).expect("it has at least 32 bits");
        Self {
            db,
            free: Arc::new(Semaphore::new(connections)),
            waiting: Arc::new(Semaphore::new(connections * MAX_WAITING_PER_CONNECTION)),
            overload: Arc::default(),
        }
    }

    /// Waits for a turn, which lasts until the value is dropped.
    pub(crate) async fn acquire(&self) -> Result<Permit, Problem> {
        let admit = |permit| Permit { db: self.db.clone(), _permit: permit };
        // Not to be had while somebody waits: permits go to them first.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            self.overload.end();
            return Ok(admit(permit));
        }
        let Ok(_place) = self.waiting.try_acquire() else { return Err(Problem::overloaded()) };
        match timeout(self.overload.patience(), Arc::clone(&self.free).acquire_owned()).await {
            Ok(permit) => Ok(admit(permit.expect("nobody closes it"))),
            Err(_) => Err(Problem::overloaded()),
        }
    }
}

/// Whether requests have had to wait for so long that it is no rush.
struct Overload {
    last_free: Mutex<Instant>,
    told: AtomicBool,
}

impl Default for Overload {
    fn default() -> Self {
        Self { last_free: Mutex::new(Instant::now()), told: AtomicBool::new(false) }
    }
}

impl Overload {
    fn end(&self) {
        *self.last_free.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if self.told.swap(false, Ordering::Relaxed) {
            tracing::info!("there are free connections again");
        }
    }

    fn patience(&self) -> Duration {
        if self.last_free.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < PATIENCE {
            return PATIENCE;
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("overloaded: every connection to the database is in use; answering 503 to some");
        }
        IMPATIENCE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::db::Db;
    use tokio::{
        task::{JoinSet, yield_now},
        time::{Duration, timeout},
    };

    use super::{Admission, MAX_WAITING_PER_CONNECTION};

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let nowhere = "postgres://localhost/nowhere".parse().expect("a URL");
        let admission = Admission::new(Db::new(&nowhere, 1, "tests"), 1);
        let first = admission.acquire().await.expect("nobody else is there");
        let mut waiting = JoinSet::new();
        for _ in 0..MAX_WAITING_PER_CONNECTION {
            let admission = admission.clone();
            waiting.spawn(async move { admission.acquire().await.map(drop) });
        }
        while admission.waiting.available_permits() > 0 {
            yield_now().await;
        }
        assert!(timeout(Duration::ZERO, admission.acquire()).await.expect("without waiting").is_err());
        drop(first);
        assert!(waiting.join_all().await.iter().all(Result::is_ok), "each has their turn");
        assert_eq!(Arc::strong_count(&admission.free), 1, "nobody holds a permit");
    }
}
