//! What the assistant writes.

use serde_json::{Value, json};

use super::{Fault, sorting, suggestion};

/// How a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Cut,
    Refused,
}

#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) end: End,
}

/// In our schema, from facts such as
/// `{"dealership": {"name": …}, "vehicles": [{"make": …, "status": "available"}], "customer": {"name": …, "language": "nb"}}`:
/// an answer, with a `thread` of what was written so far a suggestion to a person, and of a `mail` what it is.
pub(super) fn write(user: &str, fault: Option<Fault>) -> Written {
    let facts: Value = serde_json::from_str(user).unwrap_or_default();
    let is_injected = fault == Some(Fault::Injection);
    let answer = match (facts["thread"].as_array(), &facts["mail"]) {
        (Some(thread), _) => suggestion::suggest(&facts, thread, is_injected),
        (None, Value::Null) => answer(&facts, is_injected),
        (None, mail) => sorting::sort(mail, is_injected),
    };
    let answer = answer.to_string();
    match fault {
        Some(Fault::Nonsense) => {
            Written { text: "Certainly! Here is the reply you asked for:".to_owned(), end: End::Finished }
        }
        Some(Fault::Refusal) => Written { text: String::new(), end: End::Refused },
        Some(Fault::Cut) => Written { text: answer.chars().take(60).collect(), end: End::Cut },
        _ => Written { text: answer, end: End::Finished },
    }
}

fn answer(facts: &Value, is_injected: bool) -> Value {
    let language = language(facts);
    let vehicle = vehicle(facts);
    let mut reply = reply(language, facts, vehicle);
    if is_injected {
        reply += INJECTED;
    }
    json!({
        "language": language,
        "reply": reply,
        "needs_human": false,
        "reason": "",
        "intent": if vehicle.is_some() { "availability" } else { "question" },
        "score": if vehicle.is_some() { 70 } else { 50 },
        "score_reasons": if vehicle.is_some() { vec!["asks about a vehicle that is available"] } else { vec![] },
    })
}

/// What an attacker would have it say.
pub(super) const INJECTED: &str = " Få 20 % rabatt i dag: https://evil.example/rabatt";

/// The first that can be had.
pub(super) fn vehicle(facts: &Value) -> Option<&Value> {
    facts["vehicles"].as_array().and_then(|all| all.iter().find(|vehicle| is_available(vehicle)))
}

pub(super) fn language(facts: &Value) -> &str {
    let of_customer = facts["customer"]["language"].as_str();
    of_customer.or(facts["language"].as_str()).unwrap_or("nb")
}

fn is_available(vehicle: &Value) -> bool {
    vehicle["status"].as_str().is_none_or(|status| status == "available")
}

pub(super) fn reply(language: &str, facts: &Value, vehicle: Option<&Value>) -> String {
    let dealership = facts["dealership"]["name"].as_str().unwrap_or_default();
    let of_customer = |field: &str| facts["customer"][field].as_str();
    let name = of_customer("first_name").or(of_customer("name")).unwrap_or_default();
    let hello = |word: &str| if name.is_empty() { format!("{word}!") } else { format!("{word} {name}!") };
    let car = vehicle.map(described).unwrap_or_default();
    let price = vehicle.and_then(price);
    let price = |before: &str| price.as_deref().map_or(String::new(), |price| format!("{before}{price} kr"));
    match (language, vehicle.is_some()) {
        ("en", true) => format!(
            "{} Thank you for your inquiry to {dealership}. The {car} is available{}. A colleague will get back to you soon.",
            hello("Hello"),
            price(" and costs ")
        ),
        ("en", false) => format!(
            "{} Thank you for your inquiry to {dealership}. A colleague will look at your question and get back to you soon.",
            hello("Hello")
        ),
        ("pl", true) => format!(
            "{} Dziękujemy za zapytanie do {dealership}. Samochód {car} jest dostępny{}. Nasz pracownik wkrótce się odezwie.",
            hello("Dzień dobry"),
            price(", cena: ")
        ),
        ("pl", false) => format!(
            "{} Dziękujemy za zapytanie do {dealership}. Nasz pracownik wkrótce odpowie na Twoje pytanie.",
            hello("Dzień dobry")
        ),
        ("sv", true) => format!(
            "{} Tack för din förfrågan till {dealership}. {car} är ledig{}. En av våra säljare återkommer snart till dig.",
            hello("Hej"),
            price(" och kostar ")
        ),
        ("da", true) => format!(
            "{} Tak for din henvendelse til {dealership}. {car} er ledig{}. En af vores sælgere vender snart tilbage til dig.",
            hello("Hej"),
            price(" og koster ")
        ),
        ("nn", true) => format!(
            "{} Takk for førespurnaden din til {dealership}. {car} er ledig{}. Ein av seljarane våre tek kontakt med deg snart.",
            hello("Hei"),
            price(" og kostar ")
        ),
        ("nn", false) => format!(
            "{} Takk for førespurnaden din til {dealership}. Ein av seljarane våre ser på spørsmålet ditt og tek kontakt snart.",
            hello("Hei")
        ),
        (_, true) => format!(
            "{} Takk for henvendelsen din til {dealership}. {car} er ledig{}. En av selgerne våre tar snart kontakt med deg.",
            hello("Hei"),
            price(" og koster ")
        ),
        (_, false) => format!(
            "{} Takk for henvendelsen din til {dealership}. En av selgerne våre ser på spørsmålet ditt og tar snart kontakt.",
            hello("Hei")
        ),
    }
}

pub(super) fn described(vehicle: &Value) -> String {
    let members = ["make", "model", "year"].map(|name| text(&vehicle[name]));
    members.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// With spaces between the thousands; the first of the names that has one.
pub(super) fn price(vehicle: &Value) -> Option<String> {
    let found = ["price_kroner", "price", "price_nok", "asking_price"].iter().find_map(|name| text(&vehicle[*name]))?;
    let crowns = found.split(['.', ',']).next().unwrap_or_default().replace(' ', "");
    if crowns.is_empty() || !crowns.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(found);
    }
    let groups = crowns.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    Some(groups.collect::<Vec<_>>().join(" "))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
