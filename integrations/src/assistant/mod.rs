//! Assistants that write: what is asked, and what comes back. Nothing here says whether it may be sent.

mod answer;
pub mod anthropic;
pub mod openai;

use std::{fmt::Debug, time::Duration};

use futures::future::BoxFuture;
use serde_json::Value;

pub use crate::send::{Cause, NoProvider};

/// The longest that one call may take, with its answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What an assistant is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What it has to do. Never holds what a customer wrote.
    pub system: String,
    /// What it has to do it with.
    pub user: String,
    /// The JSON Schema of the answer; objects need `additionalProperties: false`. Lengths and patterns are for who asks to
    /// check: assistants do not keep them.
    pub schema: Value,
    /// What it may write, thoughts included.
    pub max_tokens: u32,
}

/// What an assistant wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// JSON by the schema, if it is finished.
    pub text: String,
    /// Whether it came to an end by itself: neither refused nor cut off.
    pub finished: bool,
    /// Why it ended, in the assistant's words.
    pub stop: String,
    /// Which model it was.
    pub model: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Why an assistant wrote nothing. No text holds what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AssistantError {
    /// It may work next time.
    #[error("the assistant cannot be reached, or does not answer in time")]
    Unreachable(#[source] Cause),
    #[error("the assistant takes no more questions for now")]
    Busy { after: Duration },
    /// Our own spending limit is reached: asking again does not help.
    #[error("the spending limit of our account is reached")]
    Capped,
    /// In the assistant's own words.
    #[error("the assistant does not take the question: {0}")]
    Refused(String),
    /// Until an operator repairs it, no question will be taken. What is wrong.
    #[error("the assistant does not let us ask: {0}")]
    Misconfigured(String),
}

pub trait Assistant: Send + Sync + Debug {
    /// Ends within [`TIME_LIMIT`]. Asking again is safe, and costs again.
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Written, AssistantError>>;

    /// Which model is asked for.
    fn model(&self) -> &str;
}

#[cfg(test)]
pub(crate) fn question() -> Question {
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "reply": { "type": "string" } },
        "required": ["reply"],
        "additionalProperties": false,
    });
    Question { system: "Answer.".into(), user: "{\"customer\":\"Hei!\"}".into(), schema, max_tokens: 3000 }
}
