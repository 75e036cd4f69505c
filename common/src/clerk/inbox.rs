//! The inbox: every delivery that concerns us, as it was signed, and what became of it.

use super::{
    event::{Event, EventError},
    provisioning::{Outcome, apply},
};
use crate::{
    db::{Db, Error, Result, SystemTx},
    jobs::ProcessClerkEvent,
    queue::{NewJob, enqueue},
};

/// What became of an authentic delivery.
#[derive(Debug)]
pub enum Receipt {
    /// Stored and enqueued: it will have its effect.
    Accepted {
        /// `clerk_events.id`.
        event_id: i64,
        /// Clerk's name for it.
        event_type: String,
    },
    /// Seen before; nothing was stored.
    Duplicate,
    /// Of a type we have no use for; nothing was stored.
    Ignored {
        /// Clerk's name for it.
        event_type: String,
    },
    /// Of a type we handle but malformed: stored as dead, for an operator to see. A retry could not mend it.
    Dead {
        /// `clerk_events.id`.
        event_id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// Not JSON; nothing was stored.
    NotJson,
}

/// Stores an authentic delivery and enqueues its processing in one transaction, once per `svix_id`.
/// When this returns, the delivery may be acknowledged.
pub async fn receive(db: &Db, svix_id: &str, body: &[u8], trace_context: Option<&str>) -> Result<Receipt> {
    let Ok(body) = str::from_utf8(body) else { return Ok(Receipt::NotJson) };
    let (event_type, user, reason) = match Event::parse(body) {
        Ok(event) => (event.event_type, event.change.user().cloned(), None),
        Err(EventError::Malformed { event_type, user, reason }) => {
            (event_type, user, Some(format!("malformed: {reason}")))
        }
        Err(EventError::NotHandled(event_type)) => return Ok(Receipt::Ignored { event_type }),
        Err(EventError::NotJson) => return Ok(Receipt::NotJson),
    };
    let mut tx = db.system().await?;
    let stored: Option<i64> = sqlx::query_scalar(
        "-- clerk::inbox::receive
         INSERT INTO clerk_events (svix_id, event_type, user_id, body, status, outcome, processed_at)
         VALUES ($1, $2, $3, $4, CASE WHEN $5::text IS NULL THEN 'pending' ELSE 'dead' END, $5,
                 CASE WHEN $5 IS NOT NULL THEN now() END)
         ON CONFLICT (svix_id) DO NOTHING RETURNING id",
    )
    .bind(svix_id)
    .bind(&event_type)
    .bind(&user)
    .bind(body)
    .bind(&reason)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    let Some(event_id) = stored else { return Ok(Receipt::Duplicate) };
    if let Some(reason) = reason {
        tx.commit().await?;
        return Ok(Receipt::Dead { event_id, reason });
    }
    enqueue(&mut tx, &NewJob { trace_context, ..NewJob::now(&ProcessClerkEvent { event_id }) }).await?;
    tx.commit().await?;
    Ok(Receipt::Accepted { event_id, event_type })
}

/// What processing a stored event came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// It was applied now.
    Now {
        /// Clerk's name for it.
        event_type: String,
        /// What it meant.
        outcome: Outcome,
    },
    /// It had been processed before; nothing was done.
    Before,
}

/// Why a stored event could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such event: it was deleted since it was enqueued.
    #[error("the event is not in the inbox")]
    Missing,
    /// It can no longer be read, which a retry cannot mend.
    #[error(transparent)]
    Unreadable(#[from] EventError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

/// Applies a stored event and marks it processed, both in the caller's transaction: twice has the effect of once.
pub async fn process(tx: &mut SystemTx, event_id: i64) -> Result<Processed, ProcessError> {
    let stored: Option<(Option<String>, String)> = sqlx::query_as(
        "-- clerk::inbox::process
         SELECT body, status FROM clerk_events WHERE id = $1 FOR UPDATE",
    )
    .bind(event_id)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    let (body, status) = stored.ok_or(ProcessError::Missing)?;
    if status == "processed" {
        return Ok(Processed::Before);
    }
    // Only what was processed is ever erased.
    let Event { event_type, change } = Event::parse(body.as_deref().unwrap_or_default())?;
    let outcome = apply(tx, change).await?;
    sqlx::query(
        "-- clerk::inbox::process
         UPDATE clerk_events e SET status = 'processed', outcome = $2, processed_at = now(),
           -- What comes late about somebody who was deleted is not kept either.
           body = CASE WHEN EXISTS (SELECT FROM clerk_objects o WHERE o.kind = 'user' AND o.id = e.user_id
                                    AND (o.state ->> 'deleted')::boolean) THEN NULL ELSE body END
         WHERE id = $1",
    )
    .bind(event_id)
    .bind(outcome.as_str())
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(Processed::Now { event_type, outcome })
}
