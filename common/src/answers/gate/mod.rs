//! What may leave of what the assistant wrote. It was given a stranger's text, so that nothing it writes is believed: every
//! number, address, promise and claim must be a fact that it was given. In doubt the answer is refused, and a template
//! answers instead.

mod contact;
mod language;
mod numbers;
mod opening;
mod reply;
mod spelling;
mod stock;
mod suggested;
#[cfg(test)]
pub(super) mod tests;
mod topics;

use serde::{Deserialize, de::DeserializeOwned};

pub use contact::leads_elsewhere;
pub use suggested::{Suggested, look_at};

use super::{facts::Facts, language::Language, prompt::INTENTS};

/// Characters that a reply must and may have.
const SHORTEST: usize = 40;
const LONGEST: usize = 900;
/// Bytes that the assistant may write.
const WRITTEN_LIMIT: usize = 20_000;
/// Reasons of a score that are kept, and characters of each, as of the reason for a person.
const SCORE_REASONS: usize = 5;
const REASON_LIMIT: usize = 200;

/// An answer that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is written in, which may be a neighbour of what was asked for.
    pub language: Language,
    /// Without greeting, signature and disclosure.
    pub reply: String,
    /// What the customer wants.
    pub intent: String,
    /// How likely they are to buy soon, 1 to 100.
    pub score: u8,
    pub score_reasons: Vec<String>,
}

/// Nothing of it may be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The assistant leaves it to a person, for this reason in its words.
    #[error("the assistant asks for a person")]
    NeedsHuman(String),
    #[error("refused: {}", .0.code())]
    Bad(Reason),
}

impl Refused {
    /// As stored.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NeedsHuman(_) => "needs_human",
            Self::Bad(reason) => reason.code(),
        }
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Bad(reason)
    }
}

/// Declares the reasons with their codes.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal),+ $(,)?) => {
        /// Why an answer may not be sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As stored.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }
    };
}

reasons!(
    /// The assistant did not come to an end.
    Unfinished = "unfinished",
    /// It is not in the form that was asked for.
    Unreadable = "unreadable",
    /// Too short or too long.
    Length = "length",
    /// Not in the customer's language.
    Language = "language",
    /// Characters that do not show, or look like others.
    Characters = "characters",
    /// Markdown or HTML.
    Markup = "markup",
    /// Something was to be filled in.
    Placeholder = "placeholder",
    /// It repeats instructions, data or what the customer wrote, or speaks of itself.
    Echo = "echo",
    /// It says the same thing twice.
    Repetition = "repetition",
    /// A link or an address, however written.
    Link = "link",
    /// A number to call or pay to that is not the dealership's.
    Phone = "phone",
    /// Another way to reach somebody.
    Contact = "contact",
    /// An amount that is not the vehicle's price.
    Price = "price",
    /// A number that is not a fact.
    Number = "number",
    /// A discount or something for nothing.
    Discount = "discount",
    /// A guarantee or a binding promise.
    Guarantee = "guarantee",
    Reservation = "reservation",
    /// When a vehicle will be handed over.
    Delivery = "delivery",
    /// Credit, instalments or payment.
    Financing = "financing",
    /// A time that was agreed.
    Appointment = "appointment",
    /// What the facts say otherwise of whether a vehicle can be had.
    Availability = "availability",
    /// Condition, history or equipment that is not a fact.
    Condition = "condition",
    /// Law, health, or who is to blame.
    Advice = "advice",
    Insult = "insult",
    /// A person who was not given, or a signature.
    Person = "person",
);

/// What the assistant is asked to write.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    language: String,
    reply: String,
    needs_human: bool,
    reason: String,
    intent: String,
    score: i64,
    score_reasons: Vec<String>,
}

/// Decides on what the assistant wrote; `finished` says that it came to an end by itself.
pub fn judge(written: &str, finished: bool, facts: &Facts) -> Result<Draft, Refused> {
    if !finished {
        return Err(Reason::Unfinished.into());
    }
    let written = read(written)?;
    if written.needs_human {
        return Err(Refused::NeedsHuman(short(&written.reason)));
    }
    let reply = reply::without_greeting(written.reply.trim(), facts);
    let language = check(reply, facts)?;
    Ok(Draft {
        language,
        reply: reply.to_owned(),
        intent: written.intent,
        score: u8::try_from(written.score).map_err(|_| Reason::Unreadable)?,
        score_reasons: written.score_reasons.iter().take(SCORE_REASONS).map(|reason| short(reason)).collect(),
    })
}

fn read(written: &str) -> Result<Written, Reason> {
    // A member that comes twice is an error of serde's.
    let written: Written =
        Some(written).filter(|text| text.len() <= WRITTEN_LIMIT).and_then(parsed).ok_or(Reason::Unreadable)?;
    let known = Language::of_tag(&written.language).is_some() && INTENTS.contains(&written.intent.as_str());
    (known && (1..=100).contains(&written.score)).then_some(written).ok_or(Reason::Unreadable)
}

fn parsed<T: DeserializeOwned>(text: &str) -> Option<T> {
    // Only an object: serde would take a list for one.
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// All that a text must be to be sent; the language that it is in.
fn check(reply: &str, facts: &Facts) -> Result<Language, Reason> {
    if !(SHORTEST..=LONGEST).contains(&reply.chars().count()) {
        return Err(Reason::Length);
    }
    spelling::check(reply)?;
    reply::check(reply, facts)?;
    contact::check(reply, facts)?;
    topics::check(reply, facts)?;
    numbers::check(reply, facts)?;
    stock::check(reply, facts)?;
    language::check(reply, facts.language)
}

/// On one line, and not long.
fn short(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_LIMIT).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
