//! After a database was restored from a backup: what it says is on its way may have gone out since, in a history that is lost.

use serde::Serialize;

use crate::{
    audit::{Operator, Subject, Verb, record},
    conversations::DeliveryStatus,
    db::{Db, JobTx, Result, TenantTx},
    ids::{DealershipId, LeadId},
    jobs::{AnswerInTime, Job, WriteAnswer},
    leads,
    notifications::Event,
    outbox::doubt,
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Messages that may have been sent: a person decides.
    pub messages: i64,
    /// Automatic answers that may have been given: a person answers.
    pub answers: i64,
}

/// What people are told of a message.
const MESSAGE: &str = "the database was restored from a backup; it may have been sent before";
/// Why a person has to answer.
const ANSWER: &str = "the database was restored from a backup; an automatic answer may have been sent before";

/// The lead that a job is for. What no lead is for, whoever wrote it, must not keep the others from being held.
macro_rules! lead {
    () => {
        "CASE WHEN payload ->> 'lead_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (payload ->> 'lead_id')::uuid END"
    };
}

/// What [`hold`] would hold.
pub async fn on_its_way(db: &Db) -> Result<Held> {
    let mut tx = db.system().await?;
    let (messages, answers) = sqlx::query_as(concat!(
        "-- restored::on_its_way
         SELECT (SELECT count(*) FROM outbox WHERE status IN ('queued', 'sending')),
                (SELECT count(DISTINCT ",
        lead!(),
        ") FROM jobs WHERE kind = ANY ($1)
                 AND state IN ('available', 'scheduled', 'retryable', 'running'))",
    ))
    .bind(ANSWERING)
    .fetch_one(tx.conn())
    .await?;
    Ok(Held { messages, answers })
}

const ANSWERING: [&str; 2] = [WriteAnswer::KIND, AnswerInTime::KIND];

/// Takes every message that is on its way for one that may have been sent, and leaves to people what was to be answered
/// automatically. Before any worker runs; may be repeated.
pub async fn hold(db: &Db, by: &Operator) -> Result<Held> {
    let mut tx = db.system().await?;
    let dealerships: Vec<DealershipId> = sqlx::query_scalar(
        "-- restored::hold
         SELECT id FROM dealerships WHERE id IN (
           SELECT dealership_id FROM outbox WHERE status IN ('queued', 'sending')
           UNION SELECT for_dealership FROM jobs WHERE kind = ANY ($1) AND state IN ('available', 'scheduled', 'retryable', 'running'))
         ORDER BY id",
    )
    .bind(ANSWERING)
    .fetch_all(tx.conn())
    .await?;
    if !dealerships.is_empty() {
        record(&mut tx, by, Verb::Hold, Subject::Other("outgoing")).await?;
    }
    tx.commit().await?;
    let mut held = Held::default();
    for dealership in dealerships {
        loop {
            let mut tx = db.tenant(dealership).await?;
            let batch = doubt(&mut tx, &[DeliveryStatus::Queued, DeliveryStatus::Sending], MESSAGE).await?;
            tx.commit().await?;
            held.messages += i64::try_from(batch).unwrap_or(i64::MAX);
            if batch == 0 {
                break;
            }
        }
        let mut tx = db.tenant(dealership).await?;
        held.answers += hold_answers(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(held)
}

async fn hold_answers(tx: &mut TenantTx) -> Result<i64> {
    let dealership = tx.dealership();
    let cancelled = sqlx::query_scalar(concat!(
        "-- restored::hold_answers
         WITH cancelled AS (
           UPDATE jobs SET state = 'cancelled', finished_at = now(), lease_token = NULL, lease_until = NULL
           WHERE for_dealership = $1 AND kind = ANY ($2) AND state IN ('available', 'scheduled', 'retryable', 'running')
           RETURNING payload)
         SELECT lead FROM (SELECT DISTINCT ",
        lead!(),
        " AS lead FROM cancelled) leads WHERE lead IS NOT NULL ORDER BY lead",
    ));
    let cancelled = cancelled.bind(dealership).bind(ANSWERING);
    let answered: Vec<LeadId> = cancelled.fetch_all(tx.elevate().await?.conn()).await?;
    tx.lower().await?;
    for &lead in &answered {
        if leads::lock(tx, lead).await?.is_none() {
            continue;
        }
        sqlx::query(
            "-- restored::hold_answers
             UPDATE answers SET state = 'withdrawn', reason = $3, settled_at = now()
             WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'answer' AND state = 'waiting'",
        )
        .bind(lead)
        .bind(dealership)
        .bind(ANSWER)
        .execute(tx.conn())
        .await?;
        leads::need_human(tx, lead, ANSWER, Event::NeedsHuman).await?;
    }
    Ok(i64::try_from(answered.len()).unwrap_or(i64::MAX))
}
