//! What the assistant suggests to a person. It is refused only where there is nothing to read: what the gate would not let
//! out is told to the person, who decides.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    LONGEST, Reason, SHORTEST, WRITTEN_LIMIT, contact, language, numbers, parsed, reply, spelling, stock, topics,
};
use crate::answers::{
    facts::Facts,
    language::{Language, of},
    prompt::visible,
    words::sentences,
};

/// Characters of each that are kept.
const REPLY_LIMIT: usize = 4000;
const SUMMARY_LIMIT: usize = 3000;

/// What a person is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggested {
    pub language: Language,
    /// Without greeting and signature.
    pub reply: String,
    pub summary: String,
    /// Why the gate would not send it by itself; nothing if it would.
    pub hints: Vec<Reason>,
}

/// What the assistant is asked to write.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    language: String,
    reply: String,
    summary: String,
}

/// Reads what the assistant wrote; `finished` says that it came to an end by itself.
pub fn look_at(written: &str, finished: bool, facts: &Facts) -> Result<Suggested, Reason> {
    if !finished {
        return Err(Reason::Unfinished);
    }
    let written: Written =
        Some(written).filter(|text| text.len() <= WRITTEN_LIMIT).and_then(parsed).ok_or(Reason::Unreadable)?;
    let named = Language::of_tag(&written.language).ok_or(Reason::Unreadable)?;
    let reply = reply::without_greeting(written.reply.trim(), facts);
    let (shown, summary) = (visible(reply, REPLY_LIMIT), visible(&written.summary, SUMMARY_LIMIT));
    if shown.is_empty() || summary.is_empty() {
        return Err(Reason::Unreadable);
    }
    Ok(Suggested { language: of(&shown, named), reply: shown, summary, hints: hints(reply, facts) })
}

/// What the gate has against a text, each reason once.
fn hints(reply: &str, facts: &Facts) -> Vec<Reason> {
    let fits = (SHORTEST..=LONGEST).contains(&reply.chars().count());
    let of_all = [
        if fits { Ok(()) } else { Err(Reason::Length) },
        spelling::check(reply),
        reply::check(reply, facts),
        language::check(reply, facts.language).map(drop),
    ];
    let mut found: Vec<_> = of_all.into_iter().filter_map(Result::err).collect();
    for check in [contact::check, topics::check, numbers::check, stock::check] {
        // Each stops at the first: what is wrong with other sentences is asked of them.
        if let Err(first) = check(reply, facts) {
            found.push(first);
            found.extend(sentences(reply).into_iter().filter_map(|sentence| check(sentence, facts).err()));
        }
    }
    let mut seen = HashSet::new();
    found.retain(|reason| seen.insert(*reason));
    found
}

impl Reason {
    /// For the person who decides.
    pub fn told(self) -> &'static str {
        match self {
            Self::Unfinished => "The assistant did not come to an end.",
            Self::Unreadable => "What the assistant wrote cannot be read.",
            Self::Length => "It is very short or very long.",
            Self::Language => "It may not be in the customer's language.",
            Self::Characters => "It has characters that do not show, or look like others.",
            Self::Markup => "It has markup, which customers would see as it is.",
            Self::Placeholder => "Something in it is still to be filled in.",
            Self::Echo => "It repeats the customer or instructions, or speaks of itself.",
            Self::Repetition => "It says the same thing twice.",
            Self::Link => "It has a link or an address that is not yours.",
            Self::Phone => "It has a number that is not yours.",
            Self::Contact => "It names another way to reach somebody, or to pay.",
            Self::Price => "It names a price that is not that of the vehicle in your stock.",
            Self::Number => "It names a number that is not known of the vehicle.",
            Self::Discount => "It speaks of a discount, or of something for nothing.",
            Self::Guarantee => "It speaks of a guarantee, or promises something.",
            Self::Reservation => "It speaks of a reservation.",
            Self::Delivery => "It says when a vehicle will be handed over.",
            Self::Financing => "It speaks of financing or payment.",
            Self::Appointment => "It names a time: see that it suits you.",
            Self::Availability => {
                "It says of a vehicle what your stock says otherwise, or names one that is not in it."
            }
            Self::Condition => "It says something of a vehicle's condition or equipment that is not known.",
            Self::Advice => "It says something of law, health, or who is to blame.",
            Self::Insult => "It may offend.",
            Self::Person => "It names a person, or is signed.",
        }
    }

    /// By its stored code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answers::gate::tests::facts;

    fn suggested(reply: &str, summary: &str) -> Result<Suggested, Reason> {
        let written = json!({ "language": "nb", "reply": reply, "summary": summary });
        look_at(&written.to_string(), true, &facts("tesla"))
    }

    #[test]
    fn a_person_is_told_what_the_gate_has_against_it_and_gets_it_all_the_same() {
        let good = "Takk for meldingen om Tesla Model Y. En av oss tar kontakt for å finne en tid som passer for deg.";
        let seen = suggested(&format!("Hei Kari!\n\n{good}"), "Kunden spør om Model Y.").expect("readable");
        assert_eq!((seen.reply.as_str(), seen.language, seen.hints), (good, Language::Nb, vec![]));
        let bad =
            format!("{good} Du får 20 % rabatt og 2 års garanti. Ring 987 65 432, eller se https://evil.example/x.");
        let seen = suggested(&bad, "Kunden spør.").expect("readable");
        assert_eq!(seen.hints, [Reason::Link, Reason::Discount, Reason::Phone]);
        assert_eq!(seen.reply, bad, "the person decides");
        for reason in Reason::ALL {
            assert_eq!(Reason::of_code(reason.code()), Some(*reason));
            assert!(reason.told().ends_with('.'), "{reason:?}");
        }
    }

    #[test]
    fn what_nobody_would_see_is_not_shown_but_told() {
        let seen =
            suggested("Takk for meldingen\u{200b}, vi svarer deg snart på dette.", "Kunden <b>spør</b>\u{202e}.");
        let seen = seen.expect("readable");
        assert_eq!(seen.reply, "Takk for meldingen, vi svarer deg snart på dette.");
        assert_eq!(seen.summary, "Kunden spør .");
        assert_eq!(seen.hints, [Reason::Characters]);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for (reply, summary) in [("", "x"), ("x", ""), (" \u{200b}", "x")] {
            assert_eq!(suggested(reply, summary), Err(Reason::Unreadable));
        }
        let facts = facts("tesla");
        for written in ["", "[]", "{}", "{\"language\":\"nb\",\"reply\":\"a\",\"summary\":\"b\",\"more\":1}"] {
            assert_eq!(look_at(written, true, &facts), Err(Reason::Unreadable), "{written}");
        }
        assert_eq!(look_at("{}", false, &facts), Err(Reason::Unfinished));
    }
}
