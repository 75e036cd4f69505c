//! What the assistant suggests to people: an answer that they may send as theirs, and a summary of what was written so far.
//! It is asked for by a person, written by a worker, and never sent by itself.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    gate::{Reason, Suggested},
    spending::{NotAsked, may_ask},
    store::Noted,
};
use crate::{
    db::{Error, Result, TenantTx},
    ids::LeadId,
    input::JsonText,
    jobs::WriteSuggestion,
    leads,
    queue::{NewJob, enqueue},
    text_enum::text_enum,
};

/// Suggestions of a lead that are shown.
const LIST: i64 = 20;

text_enum!(
    /// How far a suggestion is.
    SuggestionState {
        /// It is being written.
        Pending = "pending",
        /// It can be read.
        Ready = "ready",
        /// There is none, for the reason that it says; ask for another.
        Failed = "failed",
    }
);

/// Something that the gate would not let out by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hint {
    /// Its stable name.
    #[schema(example = "price")]
    pub code: String,
    /// What to look at, for people.
    #[schema(example = "It names a price that is not that of the vehicle in your stock.")]
    pub message: String,
}

/// What the assistant suggests. Nothing of it is sent unless a person sends it as theirs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Suggestion {
    /// Identifies the suggestion.
    pub id: Uuid,
    /// The lead it is for.
    pub lead_id: LeadId,
    /// How far it is.
    pub state: SuggestionState,
    /// What you may answer, with a greeting.
    #[schema(example = "Hei Bjørn,\n\nTakk for meldingen. Tesla Model Y er ledig.")]
    pub reply: Option<String>,
    /// In which language that is.
    pub language: Option<String>,
    /// What was written so far, in short.
    #[schema(example = "Kunden spør om Model Y er ledig, og vil prøvekjøre. Ingen tid er avtalt.")]
    pub summary: Option<String>,
    /// What to look at before it is sent: an automatic answer with this would have been refused.
    pub hints: Vec<Hint>,
    /// Why there is none.
    pub reason: Option<String>,
    /// Which model of the assistant's wrote it.
    pub model: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was written, or was given up.
    pub settled_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for Suggestion {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let state = row.try_get("state")?;
        let codes: Option<String> = row.try_get("verdict")?;
        let codes = codes.filter(|_| state == SuggestionState::Ready).unwrap_or_default();
        let hint = |reason: Reason| Hint { code: reason.code().to_owned(), message: reason.told().to_owned() };
        Ok(Self {
            id: row.try_get("id")?,
            lead_id: row.try_get("lead_id")?,
            state,
            reply: row.try_get("reply")?,
            language: row.try_get("language")?,
            summary: row.try_get("summary")?,
            hints: codes.split(", ").filter_map(Reason::of_code).map(hint).collect(),
            reason: row.try_get("reason")?,
            model: row.try_get("model")?,
            created_at: row.try_get("created_at")?,
            settled_at: row.try_get("settled_at")?,
        })
    }
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared. What nobody
/// wrote in time, since there was no worker, will not be written.
macro_rules! columns {
    () => {
        "id, lead_id, verdict, reply, language, summary, model, created_at, settled_at,
         CASE WHEN state = 'drafted' THEN 'ready' WHEN state = 'waiting' AND due_at > now() THEN 'pending'
              ELSE 'failed' END AS state,
         CASE WHEN state = 'waiting' AND due_at <= now() THEN 'it was not written in time' ELSE reason END AS reason"
    };
}

/// Why nothing will be suggested.
#[derive(Debug, thiserror::Error)]
pub enum SuggestError {
    #[error(transparent)]
    NotAsked(#[from] NotAsked),
    #[error(transparent)]
    Db(#[from] Error),
}

/// Has something suggested for a lead; what is being written already is not asked for twice. `None` if the dealership has no
/// such lead.
pub async fn suggest(
    tx: &mut TenantTx,
    lead_id: LeadId,
    has_assistant: bool,
) -> std::result::Result<Option<Suggestion>, SuggestError> {
    if leads::lock(tx, lead_id).await?.is_none() {
        return Ok(None);
    }
    may_ask(tx, has_assistant).await??;
    let before = of_lead(tx, lead_id).await?;
    if let Some(pending) = before.into_iter().find(|one| one.state == SuggestionState::Pending) {
        return Ok(Some(pending));
    }
    let (suggestion, turn) = begin(tx, lead_id).await?;
    enqueue(tx, &NewJob::now(&WriteSuggestion { lead_id, turn })).await?;
    Ok(Some(suggestion))
}

/// The suggestions for a lead, newest first.
pub async fn of_lead(tx: &mut TenantTx, lead: LeadId) -> Result<Vec<Suggestion>> {
    Ok(sqlx::query_as(concat!(
        "-- answers::suggestions_of_lead\nSELECT ",
        columns!(),
        " FROM answers WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'suggestion' ORDER BY turn DESC LIMIT $3"
    ))
    .bind(lead)
    .bind(tx.dealership())
    .bind(LIST)
    .fetch_all(tx.conn())
    .await?)
}

/// The lead is locked: nobody else takes the same turn.
async fn begin(tx: &mut TenantTx, lead: LeadId) -> Result<(Suggestion, i16)> {
    let turn: i16 = sqlx::query_scalar(
        "-- answers::next_suggestion
         SELECT coalesce(max(turn), 0)::smallint FROM answers
         WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'suggestion'",
    )
    .bind(lead)
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?;
    let turn = turn.saturating_add(1);
    let begun = sqlx::query_as(concat!(
        "-- answers::begin_suggestion
         INSERT INTO answers (dealership_id, lead_id, kind, turn, due_at)
         VALUES ($1, $2, 'suggestion', $3, now() + interval '10 minutes') RETURNING ",
        columns!()
    ));
    let begun = begun.bind(tx.dealership()).bind(lead).bind(turn).fetch_one(tx.conn()).await?;
    Ok((begun, turn))
}

#[derive(Debug, Clone, Copy)]
pub struct SuggestionKey {
    pub lead: LeadId,
    pub turn: i16,
}

/// Whether a suggestion is still to be written and somebody waits for it. Nobody else settles it before the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx, key: SuggestionKey) -> Result<bool> {
    let waits: Option<bool> = sqlx::query_scalar(
        "-- answers::lock_suggestion
         SELECT state = 'waiting' FROM answers
         WHERE lead_id = $1 AND kind = 'suggestion' AND turn = $2 AND dealership_id = $3 FOR NO KEY UPDATE",
    )
    .bind(key.lead)
    .bind(key.turn)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?;
    Ok(waits == Some(true))
}

/// Notes what the assistant is given.
pub(super) async fn note_given(tx: &mut TenantTx, key: SuggestionKey, given: &JsonText) -> Result<()> {
    sqlx::query(
        "-- answers::note_given_for_suggestion
         UPDATE answers SET given = $4, tries = tries + 1
         WHERE lead_id = $1 AND kind = 'suggestion' AND turn = $2 AND dealership_id = $3",
    )
    .bind(key.lead)
    .bind(key.turn)
    .bind(tx.dealership())
    .bind(given)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes what came of it: the reply as it is shown, or why there is none.
pub(super) async fn settle(
    tx: &mut TenantTx,
    key: SuggestionKey,
    suggested: std::result::Result<(&Suggested, &str), &str>,
    noted: Noted<'_>,
) -> Result<()> {
    let (read, written) = noted.tokens;
    let of = suggested.ok();
    sqlx::query(
        "-- answers::settle_suggestion
         UPDATE answers
         SET state = CASE WHEN $5::text IS NULL THEN 'skipped' ELSE 'drafted' END, reason = $4, reply = $5, summary = $6,
             language = $7, came_back = $8, verdict = $9, model = $10, input_tokens = $11, output_tokens = $12,
             author = CASE WHEN $5::text IS NULL THEN NULL ELSE 'assistant' END, settled_at = now()
         WHERE lead_id = $1 AND kind = 'suggestion' AND turn = $2 AND dealership_id = $3",
    )
    .bind(key.lead)
    .bind(key.turn)
    .bind(tx.dealership())
    .bind(suggested.err())
    .bind(of.map(|(_, reply)| reply))
    .bind(of.map(|(suggested, _)| suggested.summary.as_str()))
    .bind(of.map(|(suggested, _)| suggested.language.as_str()))
    .bind(noted.came_back)
    .bind(noted.verdict)
    .bind(noted.model)
    .bind(read)
    .bind(written)
    .execute(tx.conn())
    .await?;
    Ok(())
}
