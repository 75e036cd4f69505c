//! The answer when the assistant has none: the dealership's own text, or ours. And the sentence that every automatic answer
//! begins with. <https://eur-lex.europa.eu/eli/reg/2024/1689/oj>, article 50

mod back;

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

pub(super) use back::back;

use super::language::Language;

/// Characters that a template may have.
const SOURCE_LIMIT: usize = 4000;
/// Characters that one may come to.
const TEXT_LIMIT: usize = 6000;
/// Characters of a value that are put in.
const VALUE_LIMIT: usize = 200;
/// Steps that one may take; the longest takes fewer than one for each character.
const FUEL: u64 = 10_000;

/// What is answered without the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// We have their inquiry.
    Receipt,
    /// It is about a vehicle of the stock.
    Vehicle,
    /// A person answers, for one is needed.
    Person,
}

impl Occasion {
    pub const ALL: [Self; 3] = [Self::Receipt, Self::Vehicle, Self::Person];

    /// As stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Vehicle => "vehicle",
            Self::Person => "person",
        }
    }
}

/// What a template may put in. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Values {
    /// The customer's first name.
    pub customer: String,
    pub dealership: String,
    /// Make and model.
    pub vehicle: String,
    pub phone: String,
    /// When somebody is there again: `i morgen kl. 09.00`; empty while somebody is.
    pub back: String,
}

/// The text of an answer. `own` is the dealership's template; one that does not work is passed over.
pub fn text(occasion: Occasion, language: Language, own: Option<&str>, values: &Values) -> String {
    let own = own.and_then(|template| rendered(template, values).ok()).filter(|text| !text.trim().is_empty());
    let ours = || rendered(ours(occasion, language), values).expect("our templates are tested with every value");
    own.unwrap_or_else(ours)
}

/// Whether a dealership's template can be used; what is wrong with it, and in which line.
pub fn check_template(template: &str) -> Result<(), String> {
    if template.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if template.chars().count() > SOURCE_LIMIT {
        return Err(format!("must have at most {SOURCE_LIMIT} characters"));
    }
    let sample = Values {
        customer: "Kari".to_owned(),
        dealership: "Fjordbil".to_owned(),
        vehicle: "Tesla Model Y".to_owned(),
        phone: "22 12 34 56".to_owned(),
        back: "i morgen kl. 09.00".to_owned(),
    };
    let full = rendered(template, &sample)?;
    rendered(template, &Values::default())?;
    if full.trim().is_empty() { Err("comes to nothing".to_owned()) } else { Ok(()) }
}

fn rendered(template: &str, values: &Values) -> Result<String, String> {
    only_what_ends(template)?;
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let short = |text: &str| text.chars().take(VALUE_LIMIT).collect();
    let values = Values {
        customer: short(&values.customer),
        dealership: short(&values.dealership),
        vehicle: short(&values.vehicle),
        phone: short(&values.phone),
        back: short(&values.back),
    };
    let text = environment.render_str(template, values).map_err(|error| explained(&error))?;
    if text.chars().count() > TEXT_LIMIT {
        return Err(format!("comes to more than {TEXT_LIMIT} characters"));
    }
    Ok(text)
}

fn explained(error: &minijinja::Error) -> String {
    let line = error.line().unwrap_or(1);
    let what = match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::UndefinedError, _) => {
            "there is only customer, dealership, vehicle, phone and back to put in".to_owned()
        }
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    format!("line {line}: {what}")
}

/// Only names and conditions: nothing repeats and nothing multiplies, so that a text is as long as its template and values.
fn only_what_ends(template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some(open) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let line = template[..template.len() - rest.len() + open].matches('\n').count() + 1;
        let tag = &rest[open..];
        let close = if tag.starts_with("{{") { "}}" } else { "%}" };
        let end = tag.find(close).ok_or_else(|| format!("line {line}: `{}` is not closed", &tag[..2]))?;
        let inside = tag[2..end].trim().trim_matches('-').trim();
        if close == "%}"
            && !["if", "elif", "else", "endif"].iter().any(|word| inside.split_whitespace().next() == Some(word))
        {
            return Err(format!("line {line}: only if, elif, else and endif stand between {{% and %}}"));
        }
        if !inside.chars().all(|c| c.is_ascii_lowercase() || c == ' ' || c == '\n') {
            return Err(format!("line {line}: only names stand between the brackets, such as {{{{ customer }}}}"));
        }
        rest = &tag[end + 2..];
    }
    Ok(())
}

/// Our text. Every one ends with a whole sentence, greets, and promises nothing but that a person will answer.
fn ours(occasion: Occasion, language: Language) -> &'static str {
    let texts = match language {
        Language::Nb => include_str!("template/nb.txt"),
        Language::Nn => include_str!("template/nn.txt"),
        Language::En => include_str!("template/en.txt"),
        Language::Sv => include_str!("template/sv.txt"),
        Language::Da => include_str!("template/da.txt"),
        Language::Pl => include_str!("template/pl.txt"),
        Language::De => include_str!("template/de.txt"),
    };
    let head = format!("[{}]\n", occasion.as_str());
    let text = texts.split_once(&head).map_or("", |(_, text)| text);
    text.split_once("\n[").map_or(text, |(text, _)| text).trim()
}

/// How an answer greets: `Hei Kari,`.
pub fn greeting(language: Language, first_name: Option<&str>) -> String {
    let hello = match language {
        Language::Nb | Language::Nn => "Hei",
        Language::En => "Hello",
        Language::Sv | Language::Da => "Hej",
        Language::Pl => "Dzień dobry",
        Language::De => "Guten Tag",
    };
    // In Polish the name would have to be in another case, and in German a first name is not for strangers.
    match first_name.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) if !matches!(language, Language::Pl | Language::De) => format!("{hello} {name},"),
        _ => format!("{hello},"),
    }
}

/// Who wrote an automatic answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    Assistant,
    Template,
}

/// Says that an answer is automatic, and how to reach a person: it is the first thing that a customer reads.
pub fn disclosure(language: Language, author: Author, phone: Option<&str>) -> String {
    let written = match (language, author) {
        (Language::Nb, Author::Assistant) => "Dette svaret er automatisk og skrevet av kunstig intelligens (KI).",
        (Language::Nb | Language::Da, Author::Template) => "Dette er et automatisk svar.",
        (Language::Nn, Author::Assistant) => "Dette svaret er automatisk og skrive av kunstig intelligens (KI).",
        (Language::Nn, Author::Template) => "Dette er eit automatisk svar.",
        (Language::En, Author::Assistant) => "This is an automatic reply written by artificial intelligence (AI).",
        (Language::En, Author::Template) => "This is an automatic reply.",
        (Language::Sv, Author::Assistant) => {
            "Det här svaret är automatiskt och skrivet av artificiell intelligens (AI)."
        }
        (Language::Sv, Author::Template) => "Det här är ett automatiskt svar.",
        (Language::Da, Author::Assistant) => "Dette svar er automatisk og skrevet af kunstig intelligens (AI).",
        (Language::Pl, Author::Assistant) => "To automatyczna odpowiedź napisana przez sztuczną inteligencję (AI).",
        (Language::Pl, Author::Template) => "To automatyczna odpowiedź.",
        (Language::De, Author::Assistant) => {
            "Diese Antwort ist automatisch und wurde von künstlicher Intelligenz (KI) geschrieben."
        }
        (Language::De, Author::Template) => "Dies ist eine automatische Antwort.",
    };
    let reach = match (language, phone) {
        (Language::Nb, None) => "Svar på denne meldingen for å nå et menneske hos oss.",
        (Language::Nb, Some(_)) => "Svar på denne meldingen eller ring {} for å nå et menneske hos oss.",
        (Language::Nn, None) => "Svar på denne meldinga for å nå eit menneske hos oss.",
        (Language::Nn, Some(_)) => "Svar på denne meldinga eller ring {} for å nå eit menneske hos oss.",
        (Language::En, None) => "Reply to this message to reach a person.",
        (Language::En, Some(_)) => "Reply to this message or call {} to reach a person.",
        (Language::Sv, None) => "Svara på det här meddelandet för att nå en människa hos oss.",
        (Language::Sv, Some(_)) => "Svara på det här meddelandet eller ring {} för att nå en människa hos oss.",
        (Language::Da, None) => "Svar på denne besked for at få fat i et menneske hos os.",
        (Language::Da, Some(_)) => "Svar på denne besked eller ring {} for at få fat i et menneske hos os.",
        (Language::Pl, None) => "Aby porozmawiać z pracownikiem, prosimy odpowiedzieć na tę wiadomość.",
        (Language::Pl, Some(_)) => {
            "Aby porozmawiać z pracownikiem, prosimy odpowiedzieć na tę wiadomość lub zadzwonić: {}."
        }
        (Language::De, None) => "Antworten Sie auf diese Nachricht, um einen Menschen zu erreichen.",
        (Language::De, Some(_)) => {
            "Antworten Sie auf diese Nachricht oder rufen Sie {} an, um einen Menschen zu erreichen."
        }
    };
    format!("{written} {}", reach.replace("{}", phone.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
