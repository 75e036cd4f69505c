use serde_json::Value;

use super::Event;
use crate::input::{Invalid, JsonText};

/// Bytes of JSON that preferences may have.
const LIMIT: usize = 4_000;

/// Reads how somebody wants to be told: `email`, `sms`, for each of `events` one boolean, or one for each of the two, and
/// `quiet_hours` with `from` and `to` as `21:00`.
pub fn preferences(raw: &serde_json::value::RawValue) -> Result<JsonText, Invalid> {
    let read = crate::input::json_object(LIMIT)(raw)?;
    let value: Value = serde_json::from_str(read.get()).map_err(|_| Invalid("must be a JSON object".to_owned()))?;
    let is_switch = |value: &Value| value.is_null() || value.is_boolean();
    if !is_switch(&value["email"]) || !is_switch(&value["sms"]) {
        return Err(Invalid("must have true or false for email and sms".to_owned()));
    }
    for (name, on) in value["events"].as_object().into_iter().flatten() {
        let is_each = |channels: &serde_json::Map<String, Value>| {
            channels.iter().all(|(name, on)| matches!(name.as_str(), "email" | "sms") && on.is_boolean())
        };
        if name.parse::<Event>().is_err() || !(on.is_boolean() || on.as_object().is_some_and(is_each)) {
            return Err(Invalid(format!(
                "has an event {name} that is none, or is neither true nor false nor such as {{\"email\": true, \"sms\": false}}"
            )));
        }
    }
    let quiet = &value["quiet_hours"];
    let is_time =
        |value: &Value| value.as_str().is_some_and(|text| chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok());
    let is_quiet = quiet.is_null() || (is_time(&quiet["from"]) && is_time(&quiet["to"]));
    if !is_quiet {
        return Err(Invalid("must have quiet_hours such as {\"from\": \"21:00\", \"to\": \"07:00\"}".to_owned()));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    #[test]
    fn an_event_is_switched_for_both_or_for_each() {
        let read = |value: &Value| preferences(&to_raw_value(value).expect("JSON"));
        for fine in [
            json!({}),
            json!({ "sms": true, "email": true }),
            json!({ "events": { "new_lead": false, "sla_at_risk": { "sms": true }, "assigned": { "email": false, "sms": true } } }),
        ] {
            read(&fine).expect("it is fine");
        }
        for wrong in [
            json!({ "events": { "new_lead": { "fax": true } } }),
            json!({ "events": { "new_lead": { "sms": 1 } } }),
            json!({ "events": { "new_lead": [] } }),
            json!({ "sms": "yes" }),
        ] {
            read(&wrong).expect_err("it is wrong");
        }
    }
}
