//! What is known of an automatic answer, and what becomes of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    db::{Result, TenantTx},
    ids::{LeadId, MessageId},
    input::JsonText,
    jobs::{AnswerInTime, WriteAnswer},
    language::Language,
    queue::{NewJob, enqueue},
    text_enum::text_enum,
};

text_enum!(
    /// What has become of an automatic answer.
    AnswerState {
        /// It is being written.
        Waiting = "waiting",
        /// It waits for a person to send it.
        Drafted = "drafted",
        /// It is a message of the lead.
        Answered = "answered",
        /// A person answered first.
        Withdrawn = "withdrawn",
        /// There is to be none.
        Skipped = "skipped",
    }
);

text_enum!(
    /// Who wrote an automatic answer.
    AnswerAuthor {
        /// The assistant.
        Assistant = "assistant",
        /// Nobody: it is the template's text.
        Template = "template",
    }
);

/// An automatic answer with all that led to it.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Answer {
    /// Identifies the answer.
    pub id: Uuid,
    /// 1 for the first of the lead.
    pub turn: i16,
    /// What has become of it.
    pub state: AnswerState,
    /// When the template answers if nothing else has.
    pub due_at: DateTime<Utc>,
    /// What the assistant was given; null where it was not asked.
    #[schema(value_type = Option<Object>)]
    pub given: Option<JsonText>,
    /// What came back, as it came.
    pub came_back: Option<String>,
    /// What the gate said of that.
    pub verdict: Option<String>,
    /// Who wrote what was sent.
    pub author: Option<AnswerAuthor>,
    /// Which model of the assistant's.
    pub model: Option<String>,
    /// In which language it is.
    pub language: Option<String>,
    /// What it says.
    pub reply: Option<String>,
    /// Why it was withdrawn or skipped, or why a person has to answer.
    pub reason: Option<String>,
    /// The message that it became.
    pub message_id: Option<MessageId>,
    /// What the assistant read, in tokens.
    pub input_tokens: i64,
    /// What the assistant wrote, in tokens.
    pub output_tokens: i64,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When that was decided.
    pub settled_at: Option<DateTime<Utc>>,
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, turn, state, due_at, given, came_back, verdict, author, model, language, reply, reason, message_id, \
         input_tokens, output_tokens, created_at, settled_at"
    };
}

/// The automatic answers of a lead, newest first.
pub async fn of_lead(tx: &mut TenantTx, lead: LeadId) -> Result<Vec<Answer>> {
    Ok(sqlx::query_as(concat!(
        "-- answers::of_lead\nSELECT ",
        columns!(),
        " FROM answers WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'answer' ORDER BY created_at DESC, id DESC LIMIT 100"
    ))
    .bind(lead)
    .bind(tx.dealership())
    .fetch_all(tx.conn())
    .await?)
}

/// Has an answer written to what a customer has asked.
pub async fn request(tx: &mut TenantTx, lead_id: LeadId, turn: i16) -> Result<()> {
    let unique_key = format!("{lead_id} {turn}");
    let job = WriteAnswer { lead_id, turn };
    enqueue(tx, &NewJob { unique_key: Some(&unique_key), ..NewJob::now(&job) }).await?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerKey {
    pub(super) lead: LeadId,
    pub(super) turn: i16,
}

/// An answer that nobody else settles before the transaction ends.
#[derive(Debug, FromRow)]
pub(super) struct Locked {
    pub(super) state: AnswerState,
    pub(super) due_at: DateTime<Utc>,
    pub(super) is_due: bool,
}

/// Notes that an answer is to be written, unless that was noted before. The lead is locked.
pub(super) async fn begin(tx: &mut TenantTx, key: AnswerKey, due_at: DateTime<Utc>) -> Result<Locked> {
    Ok(sqlx::query_as(
        "-- answers::begin
         INSERT INTO answers (dealership_id, lead_id, turn, due_at) VALUES ($1, $2, $3, $4)
         RETURNING state, due_at, clock_timestamp() >= due_at AS is_due",
    )
    .bind(tx.dealership())
    .bind(key.lead)
    .bind(key.turn)
    .bind(due_at)
    .fetch_one(tx.conn())
    .await?)
}

/// Locks an answer, if it was begun. The lead is locked.
pub(super) async fn lock(tx: &mut TenantTx, key: AnswerKey) -> Result<Option<Locked>> {
    Ok(sqlx::query_as(
        "-- answers::lock
         SELECT state, due_at, clock_timestamp() >= due_at AS is_due FROM answers
         WHERE lead_id = $1 AND kind = 'answer' AND turn = $2 AND dealership_id = $3 FOR NO KEY UPDATE",
    )
    .bind(key.lead)
    .bind(key.turn)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

/// Notes what the assistant is given, and sees that the template answers when its time is over.
pub(super) async fn note_given(tx: &mut TenantTx, key: AnswerKey, given: &Value, due_at: DateTime<Utc>) -> Result<()> {
    let tries: i16 = sqlx::query_scalar(
        "-- answers::note_given
         UPDATE answers SET given = $4, tries = tries + 1
         WHERE lead_id = $1 AND kind = 'answer' AND turn = $2 AND dealership_id = $3 RETURNING tries",
    )
    .bind(key.lead)
    .bind(key.turn)
    .bind(tx.dealership())
    .bind(given)
    .fetch_one(tx.conn())
    .await?;
    if tries == 1 {
        let job = AnswerInTime { lead_id: key.lead, turn: key.turn };
        enqueue(tx, &NewJob { run_at: Some(due_at), ..NewJob::now(&job) }).await?;
    }
    Ok(())
}

/// How an answer ended.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub(super) state: AnswerState,
    pub(super) noted: Noted<'a>,
    /// What is said, if something is.
    pub(super) said: Option<Saying<'a>>,
    pub(super) reason: Option<&'a str>,
    pub(super) message: Option<MessageId>,
}

/// What is kept of asking the assistant.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Noted<'a> {
    pub(super) came_back: Option<&'a str>,
    pub(super) verdict: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    /// What it read and wrote.
    pub(super) tokens: (i64, i64),
}

/// What is said to the customer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saying<'a> {
    pub(super) text: &'a str,
    pub(super) language: Language,
    pub(super) author: AnswerAuthor,
}

pub(super) async fn settle(tx: &mut TenantTx, key: AnswerKey, settled: &Settled<'_>) -> Result<()> {
    let Noted { came_back, verdict, model, tokens: (read, written) } = settled.noted;
    sqlx::query(
        "-- answers::settle
         UPDATE answers
         SET state = $4, came_back = $5, verdict = $6, author = $7, model = $8, language = $9, reply = $10, reason = $11,
             message_id = $12, input_tokens = $13, output_tokens = $14, settled_at = now()
         WHERE lead_id = $1 AND kind = 'answer' AND turn = $2 AND dealership_id = $3",
    )
    .bind(key.lead)
    .bind(key.turn)
    .bind(tx.dealership())
    .bind(settled.state)
    .bind(came_back)
    .bind(verdict)
    .bind(settled.said.map(|said| said.author))
    .bind(model)
    .bind(settled.said.map(|said| said.language.as_str()))
    .bind(settled.said.map(|said| said.text))
    .bind(settled.reason)
    .bind(settled.message)
    .bind(read)
    .bind(written)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A person answers: what is not on its way is withdrawn, and nobody else has to answer. The lead is locked.
pub(crate) async fn give_way(tx: &mut TenantTx, lead: LeadId) -> Result<()> {
    sqlx::query(
        "-- answers::give_way
         WITH withdrawn AS (
           UPDATE answers SET state = 'withdrawn', reason = 'a person answered first', settled_at = now()
           WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'answer' AND (
             state IN ('waiting', 'drafted')
             OR (state = 'answered' AND message_id IN (
                   SELECT message_id FROM outbox
                   WHERE lead_id = $1 AND dealership_id = $2 AND automatic AND status = 'queued')))
           RETURNING message_id),
         answered AS (
           UPDATE leads SET needs_human = NULL WHERE id = $1 AND dealership_id = $2 AND needs_human IS NOT NULL)
         DELETE FROM conversations
         WHERE dealership_id = $2 AND id IN (SELECT message_id FROM withdrawn WHERE message_id IS NOT NULL)",
    )
    .bind(lead)
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The latest draft of a lead, which nobody else sends before the transaction ends. The lead is locked.
pub(crate) async fn take_draft(tx: &mut TenantTx, lead: LeadId) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar(
        "-- answers::take_draft
         SELECT id FROM answers
         WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'answer' AND state = 'drafted' AND reply IS NOT NULL
         ORDER BY turn DESC LIMIT 1 FOR NO KEY UPDATE",
    )
    .bind(lead)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

/// A person has sent the draft, as this message.
pub(crate) async fn note_sent(tx: &mut TenantTx, draft: Uuid, message: MessageId) -> Result<()> {
    sqlx::query(
        "-- answers::note_sent
         UPDATE answers SET state = 'answered', reason = NULL, message_id = $3, settled_at = now()
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(draft)
    .bind(tx.dealership())
    .bind(message)
    .execute(tx.conn())
    .await?;
    Ok(())
}
