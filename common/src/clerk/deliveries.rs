//! Clerk as a source of deliveries.

use serde_json::json;

use super::{
    event::{Event, EventError},
    instance::{is_ours, own_instance},
    provisioning::{Applied, apply},
};
use crate::{
    db::{Db, Result, SystemTx},
    deliveries::{NewDelivery, ProcessError, Source, Status, Stored, Taken, settle, store, take},
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
}

/// What became of an authentic delivery.
#[derive(Debug)]
pub enum Receipt {
    /// Stored and enqueued: it will have its effect.
    Accepted {
        /// `deliveries.id`.
        delivery_id: i64,
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
    /// Of a type we handle but malformed: stored as dead, for an operator to see. A retry would not help.
    Dead {
        /// `deliveries.id`.
        delivery_id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// Of another Clerk instance than ours: stored, and not applied unless the database turns out to belong to that one.
    Quarantined {
        /// `deliveries.id`.
        delivery_id: i64,
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
    fn status(&self) -> Status {
        match self {
            Self::Event(_) => Status::Pending,
            Self::Ignored => Status::Ignored,
            Self::Malformed(_) => Status::Dead,
            Self::Foreign(_) => Status::Quarantined,
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

    fn dealership(&self) -> Option<DealershipId> {
        match self {
            Self::Event(dealership) => *dealership,
            _ => None,
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
    let outcome = reading.outcome();
    let new = NewDelivery {
        source: Source::Clerk,
        external_id: delivery.svix_id,
        event_type: &event_type,
        dealership: reading.dealership(),
        source_id: None,
        subject: user.as_ref().map(ClerkUserId::as_str),
        headers: json!({}),
        body: delivery.body,
        status: reading.status(),
        outcome: outcome.as_deref(),
    };
    let delivery_id = match store(&mut tx, &new).await? {
        Stored::New(id) => id,
        Stored::Repeated => {
            tx.commit().await?;
            return Ok(Receipt::Duplicate);
        }
    };
    if let Reading::Event(dealership) = reading {
        let job = ProcessClerkEvent { delivery_id };
        enqueue(&mut tx, &NewJob { dealership, ..NewJob::now(&job) }).await?;
    }
    tx.commit().await?;
    Ok(match reading {
        Reading::Event(_) => Receipt::Accepted { delivery_id, event_type },
        Reading::Ignored => Receipt::Ignored { event_type },
        Reading::Malformed(reason) => Receipt::Dead { delivery_id, reason },
        Reading::Foreign(instance) => Receipt::Quarantined { delivery_id, instance },
    })
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
    Quarantined { instance: String },
    /// This release cannot read it. It is marked dead, for an operator to see.
    Dead {
        /// What is wrong with it.
        reason: String,
    },
}

/// Applies a stored event and marks it processed, both in the caller's transaction: twice has the effect of once.
pub async fn process(tx: &mut SystemTx, delivery_id: i64) -> Result<Processed, ProcessError> {
    let Taken::Pending(body) = take(tx, delivery_id).await? else { return Ok(Processed::Before) };
    match Event::parse(&String::from_utf8_lossy(&body)) {
        Ok(Event { instance: Some(instance), .. })
            if own_instance(tx).await?.is_some_and(|own| own.id.as_str() != instance) =>
        {
            settle(tx, delivery_id, Status::Quarantined, &of_another_instance(&instance), &[]).await?;
            Ok(Processed::Quarantined { instance })
        }
        Ok(Event { event_type, change, .. }) => {
            change.dealership().into_iter().for_each(about_dealership);
            let applied = apply(tx, change).await?;
            let effects: Vec<_> = applied.effects.iter().map(ToString::to_string).collect();
            settle(tx, delivery_id, Status::Processed, applied.outcome.as_str(), &effects).await?;
            Ok(Processed::Now { event_type, applied })
        }
        Err(error) => {
            let reason = error.to_string();
            settle(tx, delivery_id, Status::Dead, &reason, &[]).await?;
            Ok(Processed::Dead { reason })
        }
    }
}
