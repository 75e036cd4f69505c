//! The inbox: every delivery, what concerns us as it was signed, and what became of it.

use super::{
    effect::Effect,
    event::{Event, EventError},
    instance::{is_ours, own_instance},
    provisioning::{Applied, apply},
};
use crate::{
    db::{Db, Error, Result, SystemTx},
    ids::{ClerkInstanceId, ClerkUserId, DealershipId},
    jobs::ProcessClerkEvent,
    queue::{NewJob, enqueue},
    telemetry::about_dealership,
};

/// An authentic delivery.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The same for every attempt and every manual resend of one message.
    pub svix_id: &'a str,
    /// As it was signed.
    pub body: &'a [u8],
    /// W3C `traceparent` of the request that brought it.
    pub trace_context: Option<&'a str>,
}

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
    /// Seen before: counted, and otherwise without effect.
    Duplicate,
    /// Of a type we have no use for: noted without its content.
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
    /// Of another Clerk instance than ours: stored, and not applied unless the database turns out to belong to that one.
    Quarantined {
        /// `clerk_events.id`.
        event_id: i64,
        /// The other instance.
        instance: String,
    },
    /// Not JSON; nothing was stored.
    NotJson,
}

/// What a delivery is to us, before anything is stored.
enum Reading {
    /// Whose it is, if it names an organization.
    Event(Option<DealershipId>),
    Ignored,
    Malformed(String),
    Foreign(String),
}

impl Reading {
    fn status(&self) -> &'static str {
        match self {
            Self::Event(_) => "pending",
            Self::Ignored => "ignored",
            Self::Malformed(_) => "dead",
            Self::Foreign(_) => "quarantined",
        }
    }

    fn outcome(&self) -> Option<String> {
        match self {
            Self::Event(_) => None,
            Self::Ignored => Some("not a type that is handled".to_owned()),
            Self::Malformed(reason) => Some(format!("malformed: {reason}")),
            Self::Foreign(instance) => Some(of_another_instance(instance)),
        }
    }
}

fn of_another_instance(instance: &str) -> String {
    format!("of another Clerk instance: {instance}")
}

/// Stores an authentic delivery and enqueues its processing in one transaction, once per `svix_id`. When this returns,
/// the delivery may be acknowledged. Events that name another Clerk instance than the one that the database belongs to, or
/// than the operator's, are kept apart; the first that names one decides where nobody did.
pub async fn receive(db: &Db, operators: Option<&ClerkInstanceId>, delivery: &Delivery<'_>) -> Result<Receipt> {
    let Ok(body) = str::from_utf8(delivery.body) else { return Ok(Receipt::NotJson) };
    let (event_type, instance, user, mut reading) = match Event::parse(body) {
        Ok(Event { event_type, instance, change }) => {
            (event_type, instance, change.user().cloned(), Reading::Event(change.dealership()))
        }
        Err(EventError::Malformed { event_type, instance, user, reason }) => {
            (event_type, instance, user, Reading::Malformed(reason))
        }
        Err(EventError::NotHandled { event_type, instance }) => (event_type, instance, None, Reading::Ignored),
        Err(EventError::NotJson) => return Ok(Receipt::NotJson),
    };
    let mut tx = db.system_for_request().await?;
    let ours = is_ours(&mut tx, operators, instance.as_deref()).await?;
    if let Some(foreign) = instance.filter(|_| !ours && !matches!(reading, Reading::Ignored)) {
        reading = Reading::Foreign(foreign);
    }
    let stored = store(&mut tx, delivery.svix_id, &event_type, user.as_ref(), body, &reading).await?;
    let Some(event_id) = stored else {
        repeat(&mut tx, delivery.svix_id).await?;
        tx.commit().await?;
        return Ok(Receipt::Duplicate);
    };
    if let Reading::Event(dealership) = reading {
        let job = ProcessClerkEvent { event_id };
        enqueue(&mut tx, &NewJob { dealership, trace_context: delivery.trace_context, ..NewJob::now(&job) }).await?;
    }
    tx.commit().await?;
    Ok(match reading {
        Reading::Event(_) => Receipt::Accepted { event_id, event_type },
        Reading::Ignored => Receipt::Ignored { event_type },
        Reading::Malformed(reason) => Receipt::Dead { event_id, reason },
        Reading::Foreign(instance) => Receipt::Quarantined { event_id, instance },
    })
}

/// Writes a delivery down, unless it was seen before. What is of no use is not kept: it may well be personal.
async fn store(
    tx: &mut SystemTx,
    svix_id: &str,
    event_type: &str,
    user: Option<&ClerkUserId>,
    body: &str,
    reading: &Reading,
) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "-- clerk::inbox::receive
         INSERT INTO clerk_events (svix_id, event_type, user_id, body, status, outcome, processed_at)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6::text IS NOT NULL THEN now() END)
         ON CONFLICT (svix_id) DO NOTHING RETURNING id",
    )
    .bind(svix_id)
    .bind(event_type)
    .bind(user)
    .bind((!matches!(reading, Reading::Ignored)).then_some(body))
    .bind(reading.status())
    .bind(reading.outcome())
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)
}

/// Notes that a delivery came again. Nothing else of it changes, and whoever processes it is not waited for.
async fn repeat(tx: &mut SystemTx, svix_id: &str) -> Result<()> {
    sqlx::query(
        "-- clerk::inbox::repeat
         INSERT INTO clerk_event_repetitions (event_id) SELECT id FROM clerk_events WHERE svix_id = $1",
    )
    .bind(svix_id)
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}

/// What processing a stored event came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// It was applied now.
    Now {
        /// Clerk's name for it.
        event_type: String,
        /// What it meant, and what it changed.
        applied: Applied,
    },
    /// It had been processed before; nothing was done.
    Before,
    /// It is of another Clerk instance than the database, and was set aside once more.
    Quarantined {
        /// The other instance.
        instance: String,
    },
    /// This release cannot read it. It is marked dead, for an operator to see.
    Dead {
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a stored event could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such event: it was deleted since it was enqueued.
    #[error("the event is not in the inbox")]
    Missing,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

/// Applies a stored event and marks it processed, both in the caller's transaction: twice has the effect of once.
pub async fn process(tx: &mut SystemTx, event_id: i64) -> Result<Processed, ProcessError> {
    let stored: Option<(Option<String>, String)> = sqlx::query_as(
        "-- clerk::inbox::process
         SELECT body, status FROM clerk_events WHERE id = $1 FOR NO KEY UPDATE",
    )
    .bind(event_id)
    .fetch_optional(tx.conn())
    .await
    .map_err(Error::from)?;
    let (body, status) = stored.ok_or(ProcessError::Missing)?;
    if status != "pending" {
        return Ok(Processed::Before);
    }
    // Only what is not pending is ever erased.
    match Event::parse(body.as_deref().unwrap_or_default()) {
        Ok(Event { instance: Some(instance), .. })
            if own_instance(tx).await?.is_some_and(|own| own.id.as_str() != instance) =>
        {
            mark(tx, event_id, "quarantined", &of_another_instance(&instance), &[]).await?;
            Ok(Processed::Quarantined { instance })
        }
        Ok(Event { event_type, change, .. }) => {
            change.dealership().into_iter().for_each(about_dealership);
            let applied = apply(tx, change).await?;
            let Applied { outcome, effects } = &applied;
            mark(tx, event_id, "processed", outcome.as_str(), effects).await?;
            Ok(Processed::Now { event_type, applied })
        }
        Err(error) => {
            let reason = error.to_string();
            mark(tx, event_id, "dead", &reason, &[]).await?;
            Ok(Processed::Dead { reason })
        }
    }
}

async fn mark(tx: &mut SystemTx, event_id: i64, status: &str, outcome: &str, effects: &[Effect]) -> Result<()> {
    sqlx::query(
        "-- clerk::inbox::mark
         UPDATE clerk_events e SET status = $2, outcome = $3, effects = effects || $4, processed_at = now(),
           -- What comes late about somebody who was deleted is not kept either.
           body = CASE WHEN EXISTS (SELECT FROM clerk_objects o WHERE o.kind = 'user' AND o.id = e.user_id
                                    AND (o.state ->> 'deleted')::boolean) THEN NULL ELSE body END
         WHERE id = $1",
    )
    .bind(event_id)
    .bind(status)
    .bind(outcome)
    .bind(effects.iter().map(ToString::to_string).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(())
}

/// How many events are dead: malformed, so that no retry can succeed, for an operator to look at.
pub async fn count_dead(tx: &mut SystemTx) -> Result<i64> {
    sqlx::query_scalar(
        "-- clerk::inbox::count_dead
         SELECT count(*) FROM clerk_events WHERE status = 'dead'",
    )
    .fetch_one(tx.conn())
    .await
    .map_err(Error::from)
}
