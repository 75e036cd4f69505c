//! A hot standby that lists may be read from. It is read only while it shows everything that was committed before somebody
//! asked, by whomever and through whatever process: who wrote something sees it, whichever server answers.

mod position;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Db, Error, Result,
    pooler::{Pooling, recognise},
};
use crate::telemetry::error_chain;
use position::{Asker, DatabaseIdentity, Replayed, Written};

/// How long somebody waits for the standby to catch up: longer than it takes where nothing is wrong, and no delay that a
/// person would notice.
const CATCH_UP_TIMEOUT: Duration = Duration::from_millis(30);
/// Between two looks at how far it is, while somebody waits.
const PAUSE: Duration = Duration::from_millis(2);
/// How often is looked whether it can be read, also if nobody asks.
const INTERVAL: Duration = Duration::from_millis(500);
/// And how often while it is behind, which passes.
const INTERVAL_WHILE_BEHIND: Duration = Duration::from_millis(50);
/// The position of a server of which nothing is known.
const NOTHING: i64 = -1;

/// The way to a standby. Clones share it.
#[derive(Debug, Clone)]
pub struct Replica {
    shared: Arc<Shared>,
    /// Ends with the last clone.
    _looking: Arc<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    db: Db,
    primary: Asker<Written>,
    standby: Asker<Replayed>,
    /// As far as is known, in bytes.
    replayed: AtomicI64,
    found: Mutex<Found>,
    /// Told that it is behind.
    behind: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    /// Why it is not read, if it is not.
    skipped: Option<SkipReason>,
    lag: Option<f64>,
}

/// Why the standby is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// It does not show everything yet.
    Behind,
    /// It does not answer, or the primary does not.
    Away,
    /// It follows another primary than ours, or did until a short while ago.
    OtherHistory,
    /// It follows nobody.
    NotAStandby,
    /// Nobody has looked yet, or it cannot be used.
    Unusable,
}

/// Why a process must not start with this address.
#[derive(Debug, thiserror::Error)]
pub enum UnusableReplica {
    /// It is the standby of something else, or nobody's.
    #[error(
        "READ_DATABASE_URL leads to another database than DATABASE_URL; it must lead to a hot standby of that server, made by \
         pg_basebackup or by whoever hosts the database, and name the same database; or leave it out"
    )]
    AnotherDatabase,
    /// What stands in between shares connections.
    #[error(
        "READ_DATABASE_URL leads through a transaction-mode pooler; it must lead to the standby itself or through a pooler in \
         session mode"
    )]
    Pooled,
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Behind, Self::Away, Self::OtherHistory, Self::NotAStandby, Self::Unusable];

    /// As metrics have it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Away => "away",
            Self::OtherHistory => "other_history",
            Self::NotAStandby => "not_a_standby",
            Self::Unusable => "unusable",
        }
    }
}

impl Replica {
    /// `db` is the standby's, `primary` that of the server that it follows. Connects when it can: while the standby is away, it
    /// is not read. Needs a Tokio runtime.
    pub fn new(primary: &Db, db: Db) -> Self {
        let shared = Arc::new(Shared {
            primary: Asker::new(primary),
            standby: Asker::new(&db),
            replayed: AtomicI64::new(NOTHING),
            found: Mutex::new(Found { skipped: Some(SkipReason::Unusable), lag: None }),
            behind: Notify::new(),
            db,
        });
        let mut looking = JoinSet::new();
        looking.spawn(shared.clone().keep_looking());
        Self { shared, _looking: Arc::new(looking) }
    }

    /// Whether its address is one that lists may be read from, as far as can be found out now.
    pub async fn check(&self) -> Result<(), UnusableReplica> {
        match self.shared.check().await {
            Ok(()) => Ok(()),
            Err(NotChecked::Unusable(error)) => Err(error),
            Err(NotChecked::Db(error)) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "cannot check READ_DATABASE_URL; lists are read from the primary"
                );
                Ok(())
            }
        }
    }

    /// The standby's database, which nothing can be written to.
    pub fn db(&self) -> &Db {
        &self.shared.db
    }

    /// Whether what is read from the standby from now on shows everything that was committed before this was asked.
    pub async fn shows_all(&self) -> Result<(), SkipReason> {
        if let Some(skipped) = self.shared.found().skipped {
            return Err(skipped);
        }
        let shows = self.shared.catch_up(self.shared.replayed.load(Ordering::SeqCst)).await;
        if let Err(skipped) = shows {
            self.shared.note(Err(skipped));
            self.shared.behind.notify_one();
        }
        shows
    }

    /// By how many seconds it is behind, if that is known.
    pub fn lag(&self) -> Option<f64> {
        self.shared.found().lag
    }
}

enum NotChecked {
    Unusable(UnusableReplica),
    Db(Error),
}

impl From<Error> for NotChecked {
    fn from(error: Error) -> Self {
        Self::Db(error)
    }
}

impl Shared {
    /// Whether the two addresses belong together.
    async fn check(&self) -> Result<(), NotChecked> {
        let (primary, standby) =
            tokio::try_join!(self.primary.ask_for::<DatabaseIdentity>(), self.standby.ask_for::<DatabaseIdentity>())?;
        if primary != standby {
            return Err(NotChecked::Unusable(UnusableReplica::AnotherDatabase));
        }
        match recognise(self.db.url.options()).await? {
            Ok(Pooling::Session) => self.db.pool.set_pooling(Pooling::Session),
            _ => return Err(NotChecked::Unusable(UnusableReplica::Pooled)),
        }
        Ok(())
    }

    /// Looks from time to time, forever. What it is known to have replayed does not count: it may be gone.
    async fn keep_looking(self: Arc<Self>) {
        loop {
            match self.check().await {
                Ok(()) => break,
                Err(NotChecked::Db(error)) => self.note(Err(away(&error))),
                Err(NotChecked::Unusable(error)) => return tracing::error!(%error, "lists are read from the primary"),
            }
            sleep(INTERVAL).await;
        }
        loop {
            let shows = self.catch_up(NOTHING).await;
            self.note(shows);
            if shows == Err(SkipReason::Behind) {
                sleep(INTERVAL_WHILE_BEHIND).await;
            } else {
                // Whoever notes that it is behind has looked just now: it is looked at again.
                let _ = timeout(INTERVAL, self.behind.notified()).await;
            }
        }
    }

    /// Waits until the standby shows what the primary has made durable by now, for a moment.
    async fn catch_up(&self, known: i64) -> Result<(), SkipReason> {
        let written = self.primary.ask().await.map_err(|error| away(&error))?;
        if known >= written.position {
            return Ok(());
        }
        let until = Instant::now() + CATCH_UP_TIMEOUT;
        loop {
            let replayed = self.standby.ask().await.map_err(|error| away(&error))?;
            if !replayed.is_standby {
                return Err(SkipReason::NotAStandby);
            }
            if replayed.timeline != written.timeline {
                return Err(SkipReason::OtherHistory);
            }
            self.replayed.fetch_max(replayed.position, Ordering::SeqCst);
            if replayed.position >= written.position {
                return Ok(());
            }
            if Instant::now() >= until {
                self.found().lag = replayed.age;
                return Err(SkipReason::Behind);
            }
            sleep(PAUSE).await;
        }
    }

    fn note(&self, shows: Result<(), SkipReason>) {
        let before = {
            let mut found = self.found();
            let before = found.skipped;
            match shows {
                Ok(()) => *found = Found { skipped: None, lag: Some(0.0) },
                Err(SkipReason::Behind) => found.skipped = Some(SkipReason::Behind),
                Err(skipped) => *found = Found { skipped: Some(skipped), lag: None },
            }
            before
        };
        match shows {
            _ if before == shows.err() => {}
            Ok(()) => tracing::info!("lists are read from the replica"),
            Err(skipped) => {
                // What it comes back as is not what it was.
                if skipped != SkipReason::Behind {
                    self.replayed.store(NOTHING, Ordering::SeqCst);
                }
                tracing::warn!(reason = skipped.label(), "lists are read from the primary");
            }
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // Whole also after a panic: nothing is done in several steps.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away(error: &Error) -> SkipReason {
    tracing::debug!(error = error_chain(error), "cannot ask how far the replica is");
    SkipReason::Away
}
