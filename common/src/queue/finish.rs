use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Lease, LeaseError, history::append_error};
use crate::db::{Error, JobTx};

/// Marks a job done, in the transaction of its effects. On [`LeaseError::Lost`] another worker has the job, and the
/// transaction must be rolled back.
pub async fn complete(tx: &mut impl JobTx, lease: &Lease) -> Result<(), LeaseError> {
    // Not now(), which is when the job's transaction began.
    let done = sqlx::query(
        "-- queue::complete
         UPDATE jobs SET state = 'done', finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2",
    )
    .bind(lease.job_id())
    .bind(lease.token())
    .execute(tx.elevate().await?.conn())
    .await
    .map_err(Error::from)?;
    tx.lower().await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(LeaseError::Lost) }
}

/// Whether a job that failed may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Later, unless this was the last attempt.
    Later,
    /// The same, but within seconds: what failed was not the job, and it may be well again.
    Soon,
    /// It cannot help.
    Never,
}

/// What became of a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextState {
    /// It is tried again, not before this time.
    RetriedAt(DateTime<Utc>),
    /// It waits for an operator.
    Dead,
}

impl Retry {
    /// The longest wait before the next attempt, in seconds, if there may be one.
    fn longest_wait(self) -> Option<f64> {
        match self {
            Self::Later => Some(3600.0),
            Self::Soon => Some(15.0),
            Self::Never => None,
        }
    }
}

/// Ends an attempt that failed and writes down why. The next one waits 1 s, 3 s, 9 s and so on up to an hour, or 15 s,
/// each less up to half of it by chance, so that what failed together does not come back together.
pub async fn fail(tx: &mut impl JobTx, lease: &Lease, reason: &str, retry: Retry) -> Result<NextState, LeaseError> {
    let failed: Option<Option<DateTime<Utc>>> = sqlx::query_scalar(concat!(
        "-- queue::fail
         UPDATE jobs SET lease_token = NULL, lease_until = NULL,
           state = CASE WHEN $4 IS NOT NULL AND attempts < max_attempts THEN 'retryable' ELSE 'dead' END::job_state,
           finished_at = CASE WHEN $4 IS NOT NULL AND attempts < max_attempts THEN NULL ELSE now() END,
           run_at = now() + least($4::float8, 3 ^ (least(attempts, 9) - 1)) * (1 - random() / 2) * interval '1 s',
           errors = ",
        append_error!("$3::text"),
        " WHERE id = $1 AND lease_token = $2
          RETURNING CASE WHEN state = 'retryable' THEN run_at END"
    ))
    .bind(lease.job_id())
    .bind(lease.token())
    .bind(storable(reason))
    .bind(retry.longest_wait())
    .fetch_optional(tx.elevate().await?.conn())
    .await
    .map_err(Error::from)?;
    tx.lower().await?;
    match failed {
        Some(Some(at)) => Ok(NextState::RetriedAt(at)),
        Some(None) => Ok(NextState::Dead),
        None => Err(LeaseError::Lost),
    }
}

/// Ends a job whose work has become pointless: there is nothing left to do it for.
pub async fn drop_pointless(tx: &mut impl JobTx, lease: &Lease, reason: &str) -> Result<(), LeaseError> {
    let cancelled = sqlx::query(concat!(
        "-- queue::drop_pointless
         UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL,
           errors = ",
        append_error!("$3::text"),
        " WHERE id = $1 AND lease_token = $2"
    ))
    .bind(lease.job_id())
    .bind(lease.token())
    .bind(storable(reason))
    .execute(tx.elevate().await?.conn())
    .await
    .map_err(Error::from)?;
    tx.lower().await?;
    if cancelled.rows_affected() == 1 { Ok(()) } else { Err(LeaseError::Lost) }
}

/// Gives back a job that somebody else may know how to run. It is not to be claimed again before `delay` has passed,
/// and the attempt does not count.
pub async fn defer(tx: &mut impl JobTx, lease: &Lease, delay: Duration) -> Result<(), LeaseError> {
    let deferred = sqlx::query(
        "-- queue::defer
         UPDATE jobs SET state = 'scheduled', run_at = now() + make_interval(secs => $3), attempts = attempts - 1,
           lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2",
    )
    .bind(lease.job_id())
    .bind(lease.token())
    // Not as it is: sqlx refuses a length that is no whole number of microseconds, and what was measured seldom is.
    .bind(delay.as_secs_f64())
    .execute(tx.elevate().await?.conn())
    .await
    .map_err(Error::from)?;
    tx.lower().await?;
    if deferred.rows_affected() == 1 { Ok(()) } else { Err(LeaseError::Lost) }
}

/// What PostgreSQL takes as text, and no more of it than somebody will read. A reason that cannot be stored would keep
/// the failure itself from being recorded.
fn storable(reason: &str) -> String {
    reason.chars().filter(|&c| c != '\0').take(2000).collect()
}
