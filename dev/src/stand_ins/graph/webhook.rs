use std::fmt::Write;

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use common::hex;
use serde_json::{Value, json};

use super::State;

/// The header `X-Hub-Signature-256` of a body.
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads>
pub fn signature(app_secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex_hmac(app_secret, body))
}

/// HMAC-SHA256, in hexadecimal digits.
pub(super) fn hex_hmac(key: &str, message: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message);
    hex(tag.as_ref())
}

/// The webhook that tells of leads, in one batch, as Meta escapes it. Ids are texts or numbers, since both are sent.
pub(super) fn body(state: &State, lead_ids: &[String], now: DateTime<Utc>) -> String {
    let change = |id: &String| {
        let (page, form, created_time) = state.origin(id)?;
        let lead_id = match id.parse::<u64>() {
            Ok(number) if number % 2 == 1 => json!(number),
            _ => json!(id),
        };
        let value = json!({
            "leadgen_id": lead_id, "page_id": page.id, "form_id": form.id, "created_time": created_time.timestamp(),
            "ad_id": "120210000000000001", "adgroup_id": "120210000000000001",
        });
        Some(json!({ "id": page.id, "time": now.timestamp(), "changes": [{ "field": "leadgen", "value": value }] }))
    };
    escaped(&json!({ "object": "page", "entry": lead_ids.iter().filter_map(change).collect::<Vec<_>>() }))
}

/// What Meta's dashboard sends to try a webhook.
pub(super) fn test_body(now: DateTime<Utc>) -> String {
    let value = json!({
        "leadgen_id": "444444444444", "page_id": "444444444444", "form_id": "444444444444", "ad_id": "444444444444",
        "adgroup_id": "444444444444", "created_time": now.timestamp(),
    });
    escaped(
        &json!({ "object": "page", "entry": [{ "id": "0", "time": now.timestamp(), "changes": [{ "field": "leadgen", "value": value }] }] }),
    )
}

/// JSON with escapes for `/` and for everything outside ASCII, as PHP writes it.
fn escaped(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '/' => text.push_str("\\/"),
            c if c.is_ascii() => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").expect("a String takes everything");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_escaped_as_by_meta_and_signed_as_documented() {
        let value = json!({ "navn": "Bjørn 🚗", "url": "https://bil.example/" });
        let text = escaped(&value);
        assert_eq!(text, r#"{"navn":"Bj\u00f8rn \ud83d\ude97","url":"https:\/\/bil.example\/"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        // RFC 4231, test case 2
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
