//! JSON that is stored for its sender: nothing is computed from it, so nothing of it may be lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sqlx::types::Json;

use super::Invalid;

/// Decimals that a number in `jsonb` can have.
/// <https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-NUMERIC-DECIMAL>
const MAX_DECIMALS: i64 = 16_383;

/// A JSON value whose numbers keep all their digits, as those of `jsonb` do and those of [`Value`] do not.
#[derive(Debug, Clone, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct JsonText(Json<Box<RawValue>>);

impl JsonText {
    /// The value as JSON.
    pub fn get(&self) -> &str {
        self.0.0.get()
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        Self(Json(serde_json::value::to_raw_value(&value).expect("a JSON value is JSON")))
    }
}

/// Reads a JSON object, of at most `max` bytes, that PostgreSQL can store.
pub fn json_object(max: usize) -> impl Fn(&RawValue) -> Result<JsonText, Invalid> {
    move |raw| {
        if !raw.get().starts_with('{') {
            return Err("must be a JSON object".into());
        }
        storable(raw, max)
    }
}

/// Reads a JSON array of objects, of at most `max` bytes, that PostgreSQL can store.
pub fn json_objects(max: usize) -> impl Fn(&RawValue) -> Result<JsonText, Invalid> {
    move |raw| match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        Ok(items) if items.iter().all(|item| item.get().starts_with('{')) => storable(raw, max),
        _ => Err("must be a JSON array of objects".into()),
    }
}

/// The same value, if `jsonb` can hold it and writes no more than `max` bytes of it.
fn storable(raw: &RawValue, max: usize) -> Result<JsonText, Invalid> {
    let too_long =
        || -> Invalid { format!("must have at most {max} bytes as JSON, with its numbers written out").into() };
    // Each level is read anew.
    if raw.get().len() > 8 * max {
        return Err(too_long());
    }
    let mut writer = Writer { text: String::with_capacity(raw.get().len()), written_out: 0 };
    writer.write(raw.get(), 0)?;
    if writer.text.len().max(writer.written_out) > max {
        return Err(too_long());
    }
    RawValue::from_string(writer.text).map(|raw| JsonText(Json(raw))).map_err(|_| unreadable())
}

/// Writes a value without blanks and with each member once, the last one, as `jsonb` has it.
struct Writer {
    text: String,
    /// Bytes of the value once PostgreSQL has written each number without an exponent.
    written_out: usize,
}

impl Writer {
    /// Levels of arrays and objects, as many as `serde_json` reads.
    const MAX_DEPTH: usize = 127;

    fn write(&mut self, raw: &str, depth: usize) -> Result<(), Invalid> {
        if depth > Self::MAX_DEPTH {
            return Err(format!("must have at most {} levels", Self::MAX_DEPTH).into());
        }
        match raw.as_bytes().first() {
            Some(b'{') => {
                self.push("{");
                for (place, (name, value)) in read::<BTreeMap<String, &RawValue>>(raw)?.into_iter().enumerate() {
                    self.push(if place == 0 { "" } else { "," });
                    self.write_text(&name)?;
                    self.push(":");
                    self.write(value.get(), depth + 1)?;
                }
                self.push("}");
            }
            Some(b'[') => {
                self.push("[");
                for (place, value) in read::<Vec<&RawValue>>(raw)?.into_iter().enumerate() {
                    self.push(if place == 0 { "" } else { "," });
                    self.write(value.get(), depth + 1)?;
                }
                self.push("]");
            }
            Some(b'"') => self.write_text(&read::<String>(raw)?)?,
            Some(b'-' | b'0'..=b'9') => {
                self.text.push_str(raw);
                self.written_out = self.written_out.saturating_add(length_without_exponent(raw)?);
            }
            _ => self.push(raw),
        }
        Ok(())
    }

    fn write_text(&mut self, text: &str) -> Result<(), Invalid> {
        if text.contains('\0') {
            return Err("must not contain NUL characters".into());
        }
        self.push(&serde_json::to_string(text).map_err(|_| unreadable())?);
        Ok(())
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.written_out = self.written_out.saturating_add(text.len());
    }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a str) -> Result<T, Invalid> {
    serde_json::from_str(raw).map_err(|_| unreadable())
}

fn unreadable() -> Invalid {
    "must not contain halves of surrogate pairs".into()
}

/// Bytes of a JSON number that PostgreSQL has written out: it knows no exponents.
fn length_without_exponent(number: &str) -> Result<usize, Invalid> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    // What is no exponent of 64 bits is out of bounds in either direction.
    let beyond = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let exponent: i64 = exponent.parse().unwrap_or(beyond);
    let decimals = length(decimals).saturating_sub(exponent).max(0);
    if decimals > MAX_DECIMALS {
        return Err(format!("must not contain numbers of more than {MAX_DECIMALS} decimals").into());
    }
    let whole = length(whole).saturating_add(exponent).max(1);
    Ok(usize::try_from(whole.saturating_add(decimals).saturating_add(1)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(json: &str) -> Result<String, Invalid> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        json_object(20_000)(&raw).map(|text| text.get().to_owned())
    }

    #[test]
    fn what_is_stored_is_what_was_sent() {
        for (sent, kept) in [
            ("{}", "{}"),
            (r#"{ "b" : [ ] , "a" : { } }"#, r#"{"a":{},"b":[]}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":123456789012345678901234567890}"#, r#"{"a":123456789012345678901234567890}"#),
            (r#"{"a":[0.10, -1.5E+2, 1e-7, true, null]}"#, r#"{"a":[0.10,-1.5E+2,1e-7,true,null]}"#),
            (r#"{"a":"\u00e5\n"}"#, r#"{"a":"å\n"}"#),
            (r#"{"a":1e400}"#, r#"{"a":1e400}"#),
        ] {
            assert_eq!(stored(sent).as_deref(), Ok(kept), "{sent}");
        }
    }

    #[test]
    fn what_jsonb_cannot_hold_is_refused() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        let long = format!(r#"{{"a":[{}1]}}"#, "1e300,".repeat(100));
        for (sent, reason) in [
            (r#"{"a":1e20000}"#, "20000 bytes"),
            (r#"{"a":1e99999999999999999999}"#, "20000 bytes"),
            (r#"{"a":1e-16384}"#, "decimals"),
            (r#"{"a":1e-99999999999999999999}"#, "decimals"),
            (r#"{"a":"\u0000"}"#, "NUL"),
            (r#"{"\u0000":1}"#, "NUL"),
            (r#"{"a":["\ud800"]}"#, "surrogate"),
            (&deep, "levels"),
            (&long, "20000 bytes"),
        ] {
            let Invalid(message) = stored(sent).expect_err(sent);
            assert!(message.contains(reason), "{sent:.40}: {message}");
        }
    }

    #[test]
    fn a_number_is_as_long_as_it_is_written_out() {
        for (number, length) in [("1", 2), ("-12.5", 5), ("1e3", 5), ("1.25e1", 4), ("1e-3", 5), ("0.001e2", 5)] {
            assert_eq!(length_without_exponent(number), Ok(length), "{number}");
        }
    }
}
