use super::{Source, Status};
use crate::{
    db::{Error, Result, SystemTx},
    ids::DealershipId,
};

/// Erases the bodies of deliveries about somebody. Those that are pending are erased when they are settled.
pub(crate) async fn erase(tx: &mut SystemTx, source: Source, subject: &str) -> Result<()> {
    sqlx::query(
        "-- deliveries::erase
         UPDATE deliveries SET body = NULL WHERE source = $1 AND subject = $2 AND status <> 'pending'",
    )
    .bind(source)
    .bind(subject)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Erases the bodies of deliveries to a dealership, but for those that are pending.
pub(crate) async fn erase_of_dealership(tx: &mut SystemTx, dealership: DealershipId) -> Result<()> {
    sqlx::query(
        "-- deliveries::erase_of_dealership
         UPDATE deliveries SET body = NULL, opinion = NULL WHERE dealership_id = $1 AND body IS NOT NULL AND status <> 'pending'",
    )
    .bind(dealership)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Why a stored delivery could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It was deleted since it was enqueued.
    #[error("there is no such delivery")]
    Missing,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

/// A stored delivery that nobody else processes before the transaction ends.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Its body, as it was signed.
    Pending(Vec<u8>),
    /// It had been processed before.
    Settled,
}

/// Locks a delivery for processing.
pub(crate) async fn take(tx: &mut SystemTx, id: i64) -> Result<Taken, ProcessError> {
    let stored: Option<(Option<Vec<u8>>, Status)> = sqlx::query_as(
        "-- deliveries::take
         SELECT body, status FROM deliveries WHERE id = $1 FOR NO KEY UPDATE",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    match stored.ok_or(ProcessError::Missing)? {
        // Only what is not pending is ever erased.
        (body, Status::Pending) => Ok(Taken::Pending(body.unwrap_or_default())),
        _ => Ok(Taken::Settled),
    }
}

/// Notes what a delivery came to, in the transaction of its effects: twice has the effect of once.
pub(crate) async fn settle(
    tx: &mut SystemTx,
    id: i64,
    status: Status,
    outcome: &str,
    effects: &[String],
) -> Result<()> {
    sqlx::query(
        "-- deliveries::settle
         UPDATE deliveries d SET status = $2, outcome = $3, effects = effects || $4, processed_at = now(),
           -- What comes late about somebody who was deleted in Clerk is not kept either.
           body = CASE WHEN EXISTS (SELECT FROM clerk_objects o WHERE d.source = 'clerk' AND o.kind = 'user' AND o.id = d.subject
                                    AND (o.state ->> 'deleted')::boolean) THEN NULL ELSE body END
         WHERE id = $1",
    )
    .bind(id)
    .bind(status)
    .bind(outcome)
    .bind(effects)
    .execute(tx.conn())
    .await?;
    Ok(())
}
