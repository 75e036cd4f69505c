//! Reading Clerk's JSON. What is wrong with it is said by the member's name and the kind of value, never by the value,
//! which may be personal.

use serde::Deserialize;
use serde_json::error::Category;

/// Why something of Clerk's cannot be read, such as `public_user_data.user_id: found integer, expected a string`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Unreadable> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let reason = without_values(error.inner());
        // Of the whole, or of something that has no name.
        Unreadable(if path == "." || path == "?" { reason } else { format!("{path}: {reason}") })
    })
}

fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    // Ours, or a member's name, or the place of a comma. The rest may quote what it found.
    if error.classify() != Category::Data
        || ["missing field", "duplicate field", "invalid length", "must be"]
            .iter()
            .any(|start| message.starts_with(start))
    {
        return message;
    }
    // "invalid type: string \"Kari\", expected …", "invalid value: …"
    let found = message.split_once(": ").and_then(|(_, found)| found.split([' ', ',']).next()).unwrap_or("something");
    let expected = message.rsplit("expected ").next().unwrap_or("something else");
    format!("found {found}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::ClerkUserId;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Person {
        id: ClerkUserId,
        addresses: Vec<BTreeMap<String, char>>,
    }

    #[test]
    fn the_member_and_the_kind_of_value_are_named_and_never_the_value() {
        for (json, expected) in [
            ("{}", "missing field `id`"),
            (r#"{"id":"a","id":"Kari"}"#, "duplicate field `id`"),
            (r#"{"id":4791234567}"#, "id: found integer, expected a string"),
            (r#"{"id":{"expected Kari":1}}"#, "id: found map, expected a string"),
            (r#"{"id":"Kari Nordmann"}"#, "id: must be 1 to 255 printable characters without spaces"),
            (r#"{"id":"a","addresses":"expected Kari, type: Kari"}"#, "addresses: found string, expected a sequence"),
            (r#"{"id":"a","addresses":[{},{"at":"Kari"}]}"#, "addresses[1].at: found string, expected a character"),
            (r#"{"id":"a","addresses":[[]]}"#, "addresses[0]: found sequence, expected a map"),
            (r#"["a"]"#, "invalid length 1, expected struct Person"),
            (r#"{"id":"Kari""#, "EOF while parsing an object"),
        ] {
            let said = read::<Person>(json).expect_err(json).to_string();
            assert!(said.starts_with(expected) && !said.contains("Kari") && !said.contains("4791"), "{json}: {said}");
        }
    }
}
