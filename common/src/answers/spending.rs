//! What a dealership has of the assistant in a day, and whether it may have more.

use sqlx::FromRow;

use super::settings::{AnswerMode, settings};
use crate::{
    db::{Result, TenantTx},
    deliveries::tokens_of_opinions,
};

/// What a dealership had of the assistant in 24 hours: what was answered automatically or suggested to people, and what was
/// read and written for that.
macro_rules! usage_of {
    ($dealership:literal) => {
        concat!(
            "SELECT count(*) FILTER (WHERE state = 'answered' OR kind = 'suggestion' AND state <> 'skipped') AS answers,
                    coalesce(sum(input_tokens + output_tokens), 0)::bigint AS tokens
             FROM answers WHERE created_at > now() - interval '1 day' AND dealership_id = ",
            $dealership
        )
    };
}
pub(super) use usage_of;

/// As that says.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct Usage {
    pub(super) answers: i64,
    pub(super) tokens: i64,
}

/// With what sorting mails has cost.
pub(super) async fn with_mails(tx: &mut TenantTx, usage: Usage) -> Result<Usage> {
    let of_mails = tokens_of_opinions(tx).await?;
    Ok(Usage { tokens: usage.tokens.saturating_add(of_mails), ..usage })
}

/// Why the assistant is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    #[error("no assistant is configured")]
    NoAssistant,
    #[error("automatic answers are switched off")]
    Off,
    #[error("the dealership's limit for a day is reached")]
    Capped,
}

/// Whether the assistant may be asked for the dealership, beside the answers to its customers.
pub(crate) async fn may_ask(tx: &mut TenantTx, has_assistant: bool) -> Result<std::result::Result<(), NotAsked>> {
    if !has_assistant {
        return Ok(Err(NotAsked::NoAssistant));
    }
    let settings = settings(tx).await?;
    if settings.mode == AnswerMode::Off {
        return Ok(Err(NotAsked::Off));
    }
    let usage = sqlx::query_as(concat!("-- answers::may_ask\n", usage_of!("$1")));
    let usage = usage.bind(tx.dealership()).fetch_one(tx.conn()).await?;
    let usage = with_mails(tx, usage).await?;
    Ok(if settings.allows(usage) { Ok(()) } else { Err(NotAsked::Capped) })
}
