//! How a suggestion comes about: what is asked, and what becomes of what comes back.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use super::{
    AssistantReply,
    context::{context, vehicles},
    gate::{Reason, Suggested},
    prompt::suggestion::{Correspondence, Side, Written},
    settings::settings,
    spending::{NotAsked, may_ask},
    store::{AnswerKey, Noted},
    suggestion::{SuggestionKey, lock, note_given, settle},
    template::greeting,
};
use crate::{
    conversations::{Direction, SenderType},
    db::{Error, Result, TenantTx},
};

/// How long the assistant has.
const ASSISTANT_TIME: TimeDelta = TimeDelta::seconds(45);
/// Messages of a lead that are looked at.
const MESSAGES: i64 = 200;

/// What the assistant is to be asked for a person.
#[derive(Debug, Clone)]
pub struct SuggestionRequest {
    pub correspondence: Correspondence,
    pub until: DateTime<Utc>,
    first_name: Option<String>,
}

/// Begins a suggestion. `None` where there is nothing to ask: it is there, or will not be.
pub async fn prepare_suggestion(
    tx: &mut TenantTx,
    key: SuggestionKey,
    has_assistant: bool,
    now: DateTime<Utc>,
) -> Result<Option<SuggestionRequest>> {
    if !lock(tx, key).await? {
        return Ok(None);
    }
    match may_ask(tx, has_assistant).await? {
        // The limit was looked at when it was asked for, and it counts itself.
        Ok(()) | Err(NotAsked::Capped) => {}
        Err(why) => {
            settle(tx, key, Err(&why.to_string()), Noted::default()).await?;
            return Ok(None);
        }
    }
    let (context, settings) = (context(tx, AnswerKey { lead: key.lead, turn: key.turn }).await?, settings(tx).await?);
    let vehicles = vehicles(tx, key.lead).await?;
    let thread = thread(tx, key).await?;
    let correspondence = Correspondence::new(&context.facts(&settings, vehicles), thread);
    note_given(tx, key, &serde_json::to_value(&correspondence).unwrap_or_default().into()).await?;
    Ok(Some(SuggestionRequest { correspondence, until: now + ASSISTANT_TIME, first_name: context.first_name() }))
}

/// Ends a suggestion with what came back.
pub async fn finish_suggestion(
    tx: &mut TenantTx,
    key: SuggestionKey,
    asked: &SuggestionRequest,
    came_back: AssistantReply<std::result::Result<Suggested, Reason>>,
) -> Result<()> {
    if !lock(tx, key).await? {
        return Ok(());
    }
    let (text, model, tokens, verdict) = match came_back {
        AssistantReply::Nothing { reason } => return settle(tx, key, Err(&reason), Noted::default()).await,
        AssistantReply::Written { text, model, tokens, verdict } => (text, model, tokens, verdict),
    };
    let noted = Noted { came_back: Some(&text), verdict: None, model: Some(&model), tokens };
    match verdict {
        Err(reason) => settle(tx, key, Err(reason.told()), Noted { verdict: Some(reason.code()), ..noted }).await,
        Ok(suggested) => {
            let codes: Vec<_> = suggested.hints.iter().map(|hint| hint.code()).collect();
            let codes = if codes.is_empty() { "sendable".to_owned() } else { codes.join(", ") };
            let hello = greeting(suggested.language, asked.first_name.as_deref());
            let reply = format!("{hello}\n\n{}", suggested.reply);
            settle(tx, key, Ok((&suggested, &reply)), Noted { verdict: Some(&codes), ..noted }).await
        }
    }
}

/// Nothing will be suggested, for this reason.
pub async fn give_up_suggestion(tx: &mut TenantTx, key: SuggestionKey, reason: &str) -> Result<()> {
    if lock(tx, key).await? {
        settle(tx, key, Err(reason), Noted::default()).await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct MessageRow {
    direction: Direction,
    sender_type: SenderType,
    text: String,
    at: DateTime<Utc>,
}

/// What was written so far, the newest first; what the lead began with is the oldest.
async fn thread(tx: &mut TenantTx, key: SuggestionKey) -> Result<Vec<Written>> {
    let rows: Vec<MessageRow> = sqlx::query_as(
        "-- answers::thread
         (SELECT direction, sender_type, message_content AS text, created_at AS at FROM conversations
          WHERE lead_id = $1 AND dealership_id = $2 ORDER BY created_at DESC, id DESC LIMIT $3)
         UNION ALL
         SELECT 'inbound', 'customer', initial_message, created_at FROM leads
         WHERE id = $1 AND dealership_id = $2 AND initial_message IS NOT NULL
         ORDER BY at DESC",
    )
    .bind(key.lead)
    .bind(tx.dealership())
    .bind(MESSAGES)
    .fetch_all(tx.conn())
    .await
    .map_err(Error::from)?;
    Ok(rows.into_iter().map(Written::from).collect())
}

impl From<MessageRow> for Written {
    fn from(MessageRow { direction, sender_type, text, at }: MessageRow) -> Self {
        let from = match (direction, sender_type) {
            (Direction::Inbound, _) => Side::Customer,
            (Direction::Outbound, SenderType::Ai) => Side::Automatic,
            (Direction::Outbound, _) => Side::Dealership,
        };
        Self { from, at, text }
    }
}
