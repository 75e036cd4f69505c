//! Lead ads of Facebook and Instagram: what Meta's webhooks tell, and the leads that its Graph API gives.
//! <https://developers.facebook.com/docs/marketing-api/guides/lead-ads>

mod lead;
mod questions;
mod webhook;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

pub use lead::Lead;
pub use questions::{Question, Questions};
pub use webhook::{Change, ChangeKind, Leadgen, is_test, read_webhook};

/// Why something of Meta's cannot be read. It holds nothing of what was to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not what Meta documents")]
pub struct Unreadable(pub(crate) &'static str);

/// An id, which has more digits than a floating-point number keeps: as text, whether it was sent as one or as a number.
/// Only what may stand in a path counts.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = match Value::deserialize(deserializer)? {
        Value::String(id) => id,
        Value::Number(id) => id.to_string(),
        _ => String::new(),
    };
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_id { Ok(id) } else { Err(de::Error::custom("must be an id")) }
}

/// The same where there may be none, and where something else is none.
fn maybe_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(id(Value::deserialize(deserializer)?).ok())
}

/// Seconds since 1970 as webhooks have them, or `2026-09-21T12:13:18+0000` as Graph does; what is neither is none.
fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(seconds) => seconds.as_i64().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        Value::String(text) => time(&text),
        _ => None,
    })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let without_colon = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z");
    let parsed = without_colon.or_else(|_| DateTime::parse_from_rfc3339(text)).map(|time| time.to_utc());
    parsed.ok().or_else(|| DateTime::from_timestamp(text.parse().ok()?, 0))
}
