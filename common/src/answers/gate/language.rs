//! Whether a reply is in the customer's language.

use super::Reason;
use crate::answers::{
    language::{self, Language},
    words::sentences,
};

/// The language of the reply, if this customer reads it as theirs.
///
/// Either Norwegian is good for the other: those who read one read both, and schools teach both. A Dane may be answered in
/// Norwegian, which is what the people of the dealership will go on in; a Norwegian not in Danish, nor a Swede in Norwegian:
/// it would only look like a mistake.
pub(super) fn check(reply: &str, asked: Language) -> Result<Language, Reason> {
    let written = language::detect(reply).ok_or(Reason::Language)?;
    if !is_read_as(written, asked) {
        return Err(Reason::Language);
    }
    for sentence in sentences(reply) {
        // Neighbours share too many words to be told apart in a sentence.
        let languages = language::clearly(sentence);
        if !languages.is_empty() && languages.iter().all(|other| family(*other) != family(written)) {
            return Err(Reason::Language);
        }
    }
    Ok(written)
}

fn is_read_as(written: Language, asked: Language) -> bool {
    written == asked
        || matches!((written, asked), (Language::Nb, Language::Nn | Language::Da) | (Language::Nn, Language::Nb))
}

fn family(language: Language) -> u8 {
    match language {
        Language::Nb | Language::Nn | Language::Da | Language::Sv => 0,
        Language::En => 1,
        Language::Pl => 2,
        Language::De => 3,
    }
}
