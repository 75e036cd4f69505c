//! What comes of handing a message to a provider, whatever the channel.

use std::{error::Error, time::Duration};

use common::own_words;
use reqwest::Url;

/// How long to wait for a provider that takes nothing now and does not say until when.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_mins(1);

pub type Cause = Box<dyn Error + Send + Sync>;

/// The provider has taken the message and will deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What its reports name the message by.
    pub provider_id: Option<String>,
}

/// Why a message was not handed over, and whether it may be handed over again. No text holds the recipient's address.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It was certainly not taken: no connection, no encryption, or lost before anything was handed over.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] Cause),
    /// It may have been taken: only an idempotent provider may be asked again.
    #[error("the provider was not heard of any more after the message went out")]
    InDoubt(#[source] Cause),
    /// It was not taken now, and will be later.
    #[error("the provider takes nothing for now: {reason}")]
    Busy { after: Duration, reason: String },
    /// It will never be taken. In the provider's own words.
    #[error("the provider refuses the message: {0}")]
    Refused(String),
    /// Until an operator or the dealership repairs it, no message will be taken. What is wrong.
    #[error("the provider does not let us send: {0}")]
    Misconfigured(String),
}

impl SendError {
    pub(crate) fn refused(words: &str) -> Self {
        Self::Refused(own_words(words))
    }

    pub(crate) fn misconfigured(words: &str) -> Self {
        Self::Misconfigured(own_words(words))
    }

    pub(crate) fn busy(after: Option<Duration>, words: &str) -> Self {
        Self::Busy { after: after.unwrap_or(DEFAULT_WAIT), reason: own_words(words) }
    }
}

/// A client of a provider cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NoProvider {
    #[error("the address of the provider is not a URL")]
    InvalidUrl,
    #[error("what the provider is to be told holds what cannot be told")]
    InvalidSetting(#[source] Cause),
    #[error("a client for the provider cannot be made")]
    NoClient(#[source] Cause),
}

/// The address of a call, below where the provider's API is.
pub(crate) fn endpoint(base: &str, path: &str) -> Result<Url, NoProvider> {
    let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/')));
    url.ok().filter(Url::has_host).ok_or(NoProvider::InvalidUrl)
}

/// On one line, for a header or a subject.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}
