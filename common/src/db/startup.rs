//! What every process checks before it does anything: a database that is away is waited for, one that is not fit is
//! refused with the remedy.

use std::time::Duration;

use super::{
    Begin, Db, Error, IsolationError, UnusablePooler, durability, is_migrated,
    pooler::{Pooling, recognise},
};
use crate::telemetry::error_chain;

/// Why a process must not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum NotUsable {
    /// The schema is older than this build.
    #[error("the database is not migrated to what this build needs; run: norvalt migrate")]
    NotMigrated,
    /// Tenants could see each other's data.
    #[error(transparent)]
    NotIsolated(IsolationError),
    /// The login role may not take the roles that transactions run as.
    #[error(
        "the role of DATABASE_URL may not take the roles norvalt_tenant and norvalt_system; \
         run as an administrator: GRANT norvalt_tenant, norvalt_system TO that role"
    )]
    NotAMember,
    /// What stands in between does not carry what is needed.
    #[error(transparent)]
    Pooler(#[from] UnusablePooler),
    /// Names and messages could not be kept as they are written.
    #[error(
        "the encoding of the database is {0} and must be UTF8, or names could not be written as they are; make a new one: \
         CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8', and run there: norvalt migrate"
    )]
    Encoding(String),
    /// The checks themselves failed.
    #[error("cannot check the database")]
    Db(#[source] Error),
}

impl Db {
    /// Waits for the database and checks that it is migrated and keeps dealerships apart.
    pub async fn wait_until_usable(&self) -> Result<(), NotUsable> {
        // On the heap: it is large, and rare.
        let check = || Box::pin(self.check_usable());
        until_there(check, |error| matches!(error, NotUsable::Db(Error::Unavailable(_)))).await
    }

    async fn check_usable(&self) -> Result<(), NotUsable> {
        self.check_pooling().await?;
        self.check_encoding().await?;
        if !is_migrated(self).await? {
            return Err(NotUsable::NotMigrated);
        }
        match self.verify_isolation().await {
            Err(IsolationError::Db(error)) => Err(error.into()),
            Err(not_isolated) => Err(NotUsable::NotIsolated(not_isolated)),
            Ok(()) => self.complain_of_lost_commits().await,
        }
    }

    /// Says so where commits would be lost. Somebody may want it, so it is no reason not to start.
    async fn complain_of_lost_commits(&self) -> Result<(), NotUsable> {
        if let Some(problem) = durability(&mut self.system().await?).await?.problem() {
            tracing::error!(problem, "acknowledged requests and webhooks may be lost");
        }
        Ok(())
    }

    /// Finds out whether there is a pooler, and whether it carries what is needed.
    async fn check_pooling(&self) -> Result<(), NotUsable> {
        let pooling = recognise(self.url.options()).await??;
        if pooling == Pooling::Transaction {
            if !self.url.has_direct() {
                return Err(UnusablePooler::NoDirectUrl.into());
            }
            // What a pooler does with prepared statements there is no matter: it is the wrong way in any case.
            if !matches!(recognise(self.url.direct_options()).await?, Ok(Pooling::Session)) {
                return Err(UnusablePooler::DirectUrlIsPooled.into());
            }
        }
        self.pool.set_pooling(pooling);
        Ok(())
    }

    async fn check_encoding(&self) -> Result<(), NotUsable> {
        let mut tx = self.pool.begin(&Begin::anybody()).await?;
        let encoding: String = sqlx::query_scalar("-- db::check_usable\nSELECT current_setting('server_encoding')")
            .fetch_one(tx.conn())
            .await
            .map_err(Error::from)?;
        if encoding == "UTF8" { Ok(()) } else { Err(NotUsable::Encoding(encoding)) }
    }
}

/// Tries what a process needs at its start, again and again while the database is away.
pub(crate) async fn until_there<T, E: std::error::Error + 'static, F: Future<Output = Result<T, E>>>(
    attempt: impl Fn() -> F,
    is_away: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut pause = Duration::from_millis(50);
    loop {
        match attempt().await {
            Err(error) if is_away(&error) => {
                tracing::warn!(error = error_chain(&error), "waiting for the database");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

impl From<Error> for NotUsable {
    fn from(error: Error) -> Self {
        match error.code().as_deref() {
            _ if error.means_not_migrated() => Self::NotMigrated,
            Some(NOT_PERMITTED) => Self::NotAMember,
            _ => Self::Db(error),
        }
    }
}

const NOT_PERMITTED: &str = "42501";
