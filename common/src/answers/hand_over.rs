//! When a customer needs a person at once: what they write is answered by a template, and people are told.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::words::{any_of, folded};

/// Bytes of a text that are looked at.
const TEXT_LIMIT: usize = 20_000;

/// Why a person is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A lawyer, an authority or the law is named.
    Legal,
    /// About what is kept of them: access, erasure.
    Privacy,
    Anger,
    Complaint,
    /// A fault that the seller may have to answer for.
    Warranty,
    /// They take back an order.
    Cancellation,
    /// They want to talk.
    CallMe,
    /// They make a bid, or want a better price.
    PriceNegotiation,
}

impl Reason {
    /// The gravest first.
    pub const ALL: [Self; 8] = [
        Self::Legal,
        Self::Privacy,
        Self::Anger,
        Self::Complaint,
        Self::Warranty,
        Self::Cancellation,
        Self::CallMe,
        Self::PriceNegotiation,
    ];

    /// As stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legal => "legal",
            Self::Privacy => "privacy",
            Self::Anger => "anger",
            Self::Complaint => "complaint",
            Self::Warranty => "warranty",
            Self::Cancellation => "cancellation",
            Self::CallMe => "call_me",
            Self::PriceNegotiation => "price_negotiation",
        }
    }
}

/// Phrases of folded text, by reason, written as those of the gate.
static PHRASES: LazyLock<Vec<(Reason, Regex)>> = LazyLock::new(|| {
    let section = |reason: Reason| {
        let head = format!("[{}]", reason.as_str());
        let lines = include_str!("hand_over.txt").lines().skip_while(move |line| *line != head).skip(1);
        let phrases: Vec<_> = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect();
        (reason, any_of(&phrases))
    };
    Reason::ALL.map(section).into()
});

/// Whether a person must answer this text, and why. People mix languages, and short texts are taken for another one: the
/// phrases of all are looked for, whatever the language.
pub fn needs_human(text: &str) -> Option<Reason> {
    let text = &text[..text.floor_char_boundary(TEXT_LIMIT)];
    if shouts(text) {
        return Some(Reason::Anger);
    }
    let text = folded(text);
    PHRASES.iter().find(|(_, phrases)| phrases.is_match(&text)).map(|(reason, _)| *reason)
}

/// Many capitals in many words, or several exclamation marks after capitals.
fn shouts(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = text.chars().filter(|c| c.is_uppercase()).count();
    letters > 25 && capitals * 10 > letters * 7 && text.contains('!')
}

#[cfg(test)]
mod tests;
