use serde_json::{Value, json};

use super::Node;

const KM_PER_MILE: f64 = 1.609_344;

/// Whether the customer wants to get rid of it.
pub(super) fn is_trade_in(vehicle: &Node) -> bool {
    matches!(vehicle.word("interest").as_str(), "trade-in" | "tradein" | "trade_in" | "trade" | "sell")
}

/// What it is called: each part once, since many send the same text as make and as model. Without any, its number in
/// the dealership's stock or its own.
pub(super) fn title(vehicle: &Node) -> String {
    let text = |name: &str| vehicle.child(name).map(Node::text).filter(|text| !text.is_empty());
    let mut parts: Vec<String> = Vec::new();
    for part in ["year", "make", "model", "trim"].into_iter().filter_map(text) {
        if !parts.iter().any(|before| has_words(before, &part)) {
            parts.retain(|before| !has_words(&part, before));
            parts.push(part);
        }
    }
    if parts.is_empty() {
        return text("stock").or_else(|| text("vin")).unwrap_or_default();
    }
    parts.join(" ")
}

fn has_words(text: &str, words: &str) -> bool {
    format!(" {} ", text.to_lowercase()).contains(&format!(" {} ", words.to_lowercase()))
}

/// Everything that is said of it but the comments, and what it has run in kilometres.
pub(super) fn details(vehicle: &Node) -> Value {
    let mut value = vehicle.to_json();
    if let Value::Object(members) = &mut value {
        members.retain(|name, _| name != "comments" && name != "comment");
        if let Some(km) = vehicle.child("odometer").and_then(kilometres) {
            members.insert("odometer_km".to_owned(), json!(km));
        }
    }
    value
}

/// None without a unit: many leave it out, of miles and of kilometres.
fn kilometres(odometer: &Node) -> Option<u64> {
    let distance = number(&odometer.own_text())?;
    let km = match odometer.word("units").as_str() {
        "mi" | "mile" | "miles" => distance * KM_PER_MILE,
        "km" | "kms" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => distance,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1e9 · 1.6")]
    Some(km.round() as u64)
}

/// Reads `98000`, `98 000`, `98,000`, `98.000` and `98000.5`, with or without words around it.
fn number(text: &str) -> Option<f64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text[start..].chars().take_while(|c| !c.is_alphabetic()).collect();
    let whole = match digits.rfind(['.', ',']) {
        Some(at) if digits[at + 1..].chars().filter(char::is_ascii_digit).count() != 3 => &digits[..at],
        _ => &digits,
    };
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    whole.parse().ok().filter(|number| *number <= 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_read_as_people_write_them() {
        for (text, expected) in [
            ("98000", Some(98_000.0)),
            ("98 000 km", Some(98_000.0)),
            ("98\u{a0}000", Some(98_000.0)),
            ("98,000", Some(98_000.0)),
            ("98.000", Some(98_000.0)),
            ("98.000,5", Some(98_000.0)),
            ("98000.5", Some(98_000.0)),
            ("ca. 1.250.000", Some(1_250_000.0)),
            ("ukjent", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
