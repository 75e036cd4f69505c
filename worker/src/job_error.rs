use std::{error::Error, time::Duration};

use common::{db, telemetry::error_chain};

/// Why an attempt failed, and whether another one could succeed.
#[derive(Debug)]
pub enum JobError {
    /// It may pass: try again later, as often as the kind of job allows.
    Retry(Box<dyn Error + Send + Sync>),
    /// The database went away meanwhile, which says nothing about the job: try again within seconds. The attempt counts
    /// all the same, since it may be the job that ends its connection.
    DatabaseUnavailable(db::Error),
    /// Whoever was asked says when: try again after so long. The attempt does not count.
    Later(Duration, Box<dyn Error + Send + Sync>),
    /// Trying again cannot help: an operator has to look at it.
    Dead(Box<dyn Error + Send + Sync>),
}

impl JobError {
    /// Another attempt may succeed.
    pub fn retry(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Retry(cause.into())
    }

    /// Not before `after` has passed, because of `cause`.
    pub fn later(after: Duration, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Later(after, cause.into())
    }

    /// No other attempt can succeed.
    pub fn dead(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Dead(cause.into())
    }

    /// The whole chain of causes.
    pub fn reason(&self) -> String {
        match self {
            Self::Retry(cause) | Self::Later(_, cause) | Self::Dead(cause) => error_chain(&**cause),
            Self::DatabaseUnavailable(error) => error_chain(error),
        }
    }
}

impl From<db::Error> for JobError {
    /// A database that is away comes back soon, and the next release may fix a statement that was refused.
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Unavailable(_) => Self::DatabaseUnavailable(error),
            db::Error::Refused(_) => Self::retry(error),
        }
    }
}
