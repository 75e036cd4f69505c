//! What every process checks before it does anything: a database that is away is waited for, one that is not fit is
//! refused with the remedy.

use std::time::Duration;

use super::{Db, Error, IsolationError, is_migrated};
use crate::telemetry::chain;

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
    /// The checks themselves failed.
    #[error("cannot check the database")]
    Db(#[source] Error),
}

impl Db {
    /// Waits for the database and checks that it is migrated and keeps dealerships apart.
    pub async fn wait_until_usable(&self) -> Result<(), NotUsable> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.check_usable().await {
                Err(NotUsable::Db(error @ Error::Unavailable(_))) => {
                    tracing::warn!(error = chain(&error), "waiting for the database");
                }
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn check_usable(&self) -> Result<(), NotUsable> {
        if !is_migrated(self).await? {
            return Err(NotUsable::NotMigrated);
        }
        match self.verify_isolation().await {
            Err(IsolationError::Db(error)) => Err(error.into()),
            Err(not_isolated) => Err(NotUsable::NotIsolated(not_isolated)),
            Ok(()) => Ok(()),
        }
    }
}

impl From<Error> for NotUsable {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Refused(cause) => cause.as_database_error().and_then(sqlx::error::DatabaseError::code),
            Error::Unavailable(_) => None,
        };
        match code.as_deref() {
            _ if error.means_not_migrated() => Self::NotMigrated,
            Some(NOT_PERMITTED) => Self::NotAMember,
            _ => Self::Db(error),
        }
    }
}

const NOT_PERMITTED: &str = "42501";
