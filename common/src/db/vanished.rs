//! Servers that go without a word. When a host loses power nobody tells its clients: whoever waits for an answer to a
//! statement would wait for as long as their own time lasts, which is minutes for some jobs.

use std::{
    future::pending,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task_local,
    time::{Instant, sleep},
};

use super::{Db, Error, Result, cancel::Backend};

/// How old a transaction is before it is asked whether its server process is still there, and asked again.
const AGE: Duration = Duration::from_secs(3);

task_local! {
    static OPEN: OpenTransactions;
}

/// The transactions that some work has open. Clones share them.
#[derive(Debug, Default, Clone)]
struct OpenTransactions(Arc<Mutex<Vec<Arc<Began>>>>);

#[derive(Debug)]
struct Began {
    backend: Backend,
    at: Instant,
}

/// Stands for a transaction among those of the work that began it, until it is dropped.
#[derive(Debug)]
pub(super) struct Noted {
    among: OpenTransactions,
    began: Arc<Began>,
}

impl Noted {
    /// `None` outside of [`watched`] work, and for a server process that is not known.
    pub(super) fn new(backend: Option<Backend>) -> Option<Self> {
        let (among, backend) = (OPEN.try_with(Clone::clone).ok()?, backend?);
        let began = Arc::new(Began { backend, at: Instant::now() });
        among.lock().push(began.clone());
        Some(Self { among, began })
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.among.lock().retain(|other| !Arc::ptr_eq(other, &self.began));
    }
}

impl OpenTransactions {
    fn old(&self) -> Vec<Arc<Began>> {
        self.lock().iter().filter(|began| began.at.elapsed() >= AGE).cloned().collect()
    }

    fn has(&self, began: &Arc<Began>) -> bool {
        self.lock().iter().any(|other| Arc::ptr_eq(other, began))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Began>>> {
        // Whole also after a panic: nothing is done in several steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work whose transactions [`Db::unless_vanished`] has an eye on. Not those of tasks that it spawns.
pub async fn watched<T>(work: impl Future<Output = T>) -> T {
    OPEN.scope(OpenTransactions::default(), work).await
}

impl Db {
    /// Does a part of [`watched`] work, and gives it up when the server process of a transaction that is open is gone, though
    /// nobody has said so: what is waited for will not be answered.
    pub async fn unless_vanished<T>(&self, part: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            done = part => Ok(done),
            () = self.vanished() => Err(Error::Unavailable(io::Error::from(io::ErrorKind::ConnectionAborted).into())),
        }
    }

    async fn vanished(&self) {
        let Ok(open) = OPEN.try_with(Clone::clone) else { return pending().await };
        loop {
            sleep(AGE).await;
            for began in open.old() {
                let gone = matches!(self.canceller.is_there(began.backend).await, Ok(false));
                // One that ended meanwhile may have had a pooler's process, which goes when it likes.
                if gone && open.has(&began) {
                    return;
                }
            }
        }
    }
}
