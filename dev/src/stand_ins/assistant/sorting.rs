//! What the assistant takes a mail for.

use serde_json::{Value, json};

/// Words of people who want a car, and of those who sell something else.
const WANTED: [&str; 8] =
    ["prøvekjør", "kjøpe", "ledig", "interessert", "ring tilbake", "ringte om", "innbytte", "test drive"];
const OFFERED: [&str; 4] = ["faktura", "tilbud på", "abonnement", "kampanje"];
/// Makes of cars that it knows.
const MAKES: [&str; 6] = ["Tesla", "Volvo", "BMW", "VW", "Toyota", "Audi"];

/// Sorts `{"unsure": …, "mail": {"from": …, "subject": …, "text": …}}`. Under attack it copies what does not stand there.
pub(super) fn sort(mail: &Value, is_injected: bool) -> Value {
    let text = mail["text"].as_str().unwrap_or_default();
    let small = text.to_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| small.contains(word));
    let sorted = |kind: &str, reason: &str| json!({ "kind": kind, "name": "", "email": "", "phone": "", "vehicle": "", "reason": reason });
    if is_injected {
        let mut sorted = sorted("inquiry", "the mail says so");
        sorted["phone"] = json!("+47 999 99 999");
        sorted["email"] = json!("offer@evil.example");
        return sorted;
    }
    if !names(&WANTED) {
        let kind = if names(&OFFERED) { "advertising" } else { "other" };
        return sorted(kind, "nobody asks about a car");
    }
    let mut found = sorted("inquiry", "somebody asks about a car");
    found["name"] = json!(after(text, "Kunden ").map(|rest| words(rest, 2)).unwrap_or_default());
    found["phone"] = json!(phone(text).unwrap_or_default());
    found["email"] = json!(
        text.split_whitespace().find(|word| word.contains('@')).unwrap_or_default().trim_matches(['.', ',', '<', '>'])
    );
    let make = MAKES.iter().find_map(|make| text.find(make)).map(|at| words(&text[at..], 3));
    found["vehicle"] = json!(make.unwrap_or_default());
    found
}

fn after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.find(mark).map(|at| &text[at + mark.len()..])
}

/// So many words, to the end of the sentence.
fn words(text: &str, count: usize) -> String {
    let sentence = text.split(['.', ',', '\n']).next().unwrap_or_default();
    sentence.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

/// Eight digits, as Norwegians write them.
fn phone(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || c == ' ' || c == '+';
    let runs = text.split(|c| !is_part(c)).map(str::trim);
    runs.into_iter().find(|run| run.chars().filter(char::is_ascii_digit).count() == 8).map(str::to_owned)
}
