//! What comes of handing a message to a provider, whatever the channel.

use std::{error::Error, time::Duration};

use reqwest::Url;

/// How long to wait for a provider that takes nothing now and does not say until when.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_mins(1);
/// Characters of a provider's own words that are kept.
const MAX_WORDS: usize = 300;
/// From this many digits on, what stands in a provider's words may be somebody's number.
const MIN_NUMBER: usize = 6;

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

/// What a provider said, on one line, bounded, and without addresses and numbers: it often repeats the recipient's.
pub(crate) fn own_words(words: &str) -> String {
    let words = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let text = words.map(without_address).collect::<Vec<_>>().join(" ");
    let mut text: String = without_numbers(&text).chars().take(MAX_WORDS).collect();
    if text.is_empty() {
        text.push_str("no reason given");
    }
    text
}

fn without_address(word: &str) -> String {
    let around = |c: char| matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' | ',' | ';' | ':' | '=');
    let parts = word.split_inclusive(around).map(|part| {
        let end = part.chars().next_back().filter(|c| around(*c));
        if part.contains('@') || part.to_ascii_lowercase().contains("%40") {
            end.map_or_else(|| "…".to_owned(), |end| format!("…{end}"))
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}

/// Digits count as one number across the spaces and hyphens that people write in it.
fn without_numbers(text: &str) -> String {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')');
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+') {
        let (before, from) = rest.split_at(start);
        kept.push_str(before);
        let run = from.split_once(|c| !in_number(c)).map_or(from, |(run, _)| run);
        let run = run.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '+');
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        kept.push_str(if digits >= MIN_NUMBER { "…" } else { run });
        rest = &from[run.len()..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_are_kept_without_whom_they_are_about() {
        for (said, kept) in [
            ("550 5.1.1 <kari@bil.no>: no such user", "550 5.1.1 <…>: no such user"),
            ("550\r\n5.1.1\tsays \"Kari\"@bil.no", "550 5.1.1 says \"Kari\"…"),
            ("to=kari%40bil.no;kari@bil.no is bad", "to=…;… is bad"),
            ("The 'To' number +4791234567 is not valid (21211)", "The 'To' number … is not valid (21211)"),
            ("no route to +47 912 34 567.", "no route to …."),
            ("code 30007 of 2026", "code 30007 of 2026"),
            ("a + b", "a + b"),
            ("", "no reason given"),
        ] {
            assert_eq!(own_words(said), kept, "{said}");
        }
        assert_eq!(own_words(&"æ".repeat(5_000)).chars().count(), 300);
    }
}
