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

text_enum!(
    /// What an answer is for.
    AnswerKind {
        /// It goes out by itself, or is drafted for that.
        Answer = "answer",
        /// A person has asked for it.
        Suggestion = "suggestion",
    }
);

/// An automatic answer with all that led to it.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Answer {
    /// Identifies the answer.
    pub id: Uuid,
    /// What it is for.
    pub kind: AnswerKind,
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
    /// The conversation in short, if a person asked for that.
    pub summary: Option<String>,
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
        "id, kind, turn, state, due_at, given, came_back, verdict, author, model, language, reply, summary, reason, message_id, \
         input_tokens, output_tokens, created_at, settled_at"
    };
}

/// All automatic answers and suggestions of a lead, newest first.
pub async fn of_lead(tx: &mut TenantTx, lead: LeadId) -> Result<Vec<Answer>> {
    Ok(sqlx::query_as(concat!(
        "-- answers::of_lead\nSELECT ",
        columns!(),
        " FROM answers WHERE lead_id = $1 AND dealership_id = $2 ORDER BY created_at DESC, id DESC LIMIT 100"
    ))
    .bind(lead)
    .bind(tx.dealership())
    .fetch_all(tx.conn())
    .await?)
}

/// Has an answer written to what a customer has asked.
pub async fn expect(tx: &mut TenantTx, lead_id: LeadId, turn: i16) -> Result<()> {
    let unique_key = format!("{lead_id} {turn}");
    let job = WriteAnswer { lead_id, turn };
    enqueue(tx, &NewJob { unique_key: Some(&unique_key), ..NewJob::now(&job) }).await?;
    Ok(())
}

/// Which answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) lead: LeadId,
    pub(super) kind: AnswerKind,
    pub(super) turn: i16,
}

/// An answer that nobody else settles before the transaction ends.
#[derive(Debug, FromRow)]
pub(super) struct Locked {
    pub(super) state: AnswerState,
    pub(super) due_at: DateTime<Utc>,
    pub(super) is_due: bool,
}

/// Notes that an answer is to be written, if that was not noted before, and locks it. The lead is locked.
pub(super) async fn begin(tx: &mut TenantTx, place: Place, due_at: DateTime<Utc>) -> Result<Locked> {
    sqlx::query(
        "-- answers::begin
         INSERT INTO answers (dealership_id, lead_id, kind, turn, due_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (lead_id, kind, turn, dealership_id) DO NOTHING",
    )
    .bind(tx.dealership())
    .bind(place.lead)
    .bind(place.kind)
    .bind(place.turn)
    .bind(due_at)
    .execute(tx.conn())
    .await?;
    Ok(lock(tx, place).await?.expect("it is there since the statement before"))
}

/// Locks an answer that is there.
pub(super) async fn lock(tx: &mut TenantTx, place: Place) -> Result<Option<Locked>> {
    Ok(sqlx::query_as(
        "-- answers::lock
         SELECT state, due_at, clock_timestamp() >= due_at AS is_due FROM answers
         WHERE lead_id = $1 AND kind = $2 AND turn = $3 AND dealership_id = $4 FOR NO KEY UPDATE",
    )
    .bind(place.lead)
    .bind(place.kind)
    .bind(place.turn)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

/// Notes what the assistant is given, and sees that the template answers when its time is over.
pub(super) async fn note_given(tx: &mut TenantTx, place: Place, given: &Value, due_at: DateTime<Utc>) -> Result<()> {
    let tries: i16 = sqlx::query_scalar(
        "-- answers::note_given
         UPDATE answers SET given = $5, tries = tries + 1
         WHERE lead_id = $1 AND kind = $2 AND turn = $3 AND dealership_id = $4 RETURNING tries",
    )
    .bind(place.lead)
    .bind(place.kind)
    .bind(place.turn)
    .bind(tx.dealership())
    .bind(given)
    .fetch_one(tx.conn())
    .await?;
    if tries == 1 && place.kind == AnswerKind::Answer {
        let job = AnswerInTime { lead_id: place.lead, turn: place.turn };
        enqueue(tx, &NewJob { run_at: Some(due_at), ..NewJob::now(&job) }).await?;
    }
    Ok(())
}

/// How an answer ended.
#[derive(Debug, Default)]
pub(super) struct Settled<'a> {
    pub(super) state: Option<AnswerState>,
    pub(super) came_back: Option<&'a str>,
    pub(super) verdict: Option<&'a str>,
    pub(super) author: Option<AnswerAuthor>,
    pub(super) model: Option<&'a str>,
    pub(super) language: Option<&'a str>,
    pub(super) reply: Option<&'a str>,
    pub(super) summary: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) message: Option<MessageId>,
    pub(super) tokens: (i64, i64),
}

pub(super) async fn settle(tx: &mut TenantTx, place: Place, settled: &Settled<'_>) -> Result<()> {
    sqlx::query(
        "-- answers::settle
         UPDATE answers
         SET state = coalesce($5, state), came_back = coalesce($6, came_back), verdict = coalesce($7, verdict), author = $8,
             model = coalesce($9, model), language = $10, reply = $11, summary = $12, reason = $13, message_id = $14,
             input_tokens = input_tokens + $15, output_tokens = output_tokens + $16, settled_at = now()
         WHERE lead_id = $1 AND kind = $2 AND turn = $3 AND dealership_id = $4",
    )
    .bind(place.lead)
    .bind(place.kind)
    .bind(place.turn)
    .bind(tx.dealership())
    .bind(settled.state)
    .bind(settled.came_back)
    .bind(settled.verdict)
    .bind(settled.author)
    .bind(settled.model)
    .bind(settled.language)
    .bind(settled.reply)
    .bind(settled.summary)
    .bind(settled.reason)
    .bind(settled.message)
    .bind(settled.tokens.0)
    .bind(settled.tokens.1)
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
