//! What the assistant suggests to people.

use serde_json::{Value, json};

use super::writer::{INJECTED, described, language, price, reply, vehicle};

/// Characters of a message that a summary has.
const QUOTED: usize = 90;

/// An answer to what the customer wrote last, and what was written so far in Norwegian.
pub(super) fn suggest(facts: &Value, thread: &[Value], is_injected: bool) -> Value {
    let language = language(facts);
    let mut reply = match language {
        "nb" => in_norwegian(facts),
        _ => reply(language, facts, vehicle(facts)),
    };
    if is_injected {
        reply += INJECTED;
    }
    json!({ "language": language, "reply": reply, "summary": summary(facts, thread) })
}

fn in_norwegian(facts: &Value) -> String {
    let car = vehicle(facts).map(|car| {
        let price = price(car).map_or(String::new(), |price| format!(" og koster {price} kr"));
        format!(" {} er ledig{price}.", described(car))
    });
    let car = car.unwrap_or_default();
    format!("Takk for meldingen din.{car} Jeg undersøker det du spør om, og kommer tilbake til deg så snart jeg kan.")
}

fn summary(facts: &Value, thread: &[Value]) -> String {
    let of = |side: &str| thread.iter().filter(|message| message["from"] == side).collect::<Vec<_>>();
    let (customer, dealership, automatic) = (of("customer"), of("dealership"), of("automatic"));
    let name = facts["customer"]["first_name"].as_str().unwrap_or("Kunden");
    let mut sentences = Vec::new();
    if let Some(first) = customer.first() {
        sentences.push(format!("{name} skrev først: «{}».", quoted(first)));
    }
    if customer.len() > 1 {
        sentences.push(format!("Sist skrev kunden: «{}».", quoted(customer[customer.len() - 1])));
    }
    sentences.push(match (dealership.last(), automatic.is_empty()) {
        (Some(last), _) => format!("Dere har svart {} gang(er), sist: «{}».", dealership.len(), quoted(last)),
        (None, false) => "Kunden har bare fått et automatisk svar.".to_owned(),
        (None, true) => "Ingen har svart kunden ennå.".to_owned(),
    });
    if thread.last().is_some_and(|last| last["from"] == "customer") {
        sentences.push("Kunden venter på svar.".to_owned());
    }
    sentences.join(" ")
}

fn quoted(message: &Value) -> String {
    let text = message["text"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
