use std::{ops::RangeInclusive, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

use super::Invalid;

/// Reads a text of at most `max` characters, without the blanks around it. As JSON, which writes a control character with
/// six bytes, it may have four bytes for each of them: as many as the longest characters have.
pub fn text(max: usize) -> impl Fn(&Value) -> Result<String, Invalid> {
    move |value| short(as_text(value)?, max).map(str::to_owned)
}

/// A text of at most `max` characters that PostgreSQL can store, without the blanks around it.
pub(super) fn short(text: &str, max: usize) -> Result<&str, Invalid> {
    let text = text.trim();
    if text.contains('\0') {
        return Err("must not contain NUL characters".into());
    }
    if text.chars().count() > max {
        return Err(format!("must have at most {max} characters").into());
    }
    if json_bytes(text) > 4 * max {
        let limit = 4 * max;
        return Err(format!("must have at most {limit} bytes as JSON: it has too many control characters").into());
    }
    Ok(text)
}

/// Bytes of a text within the quotes of JSON. <https://www.rfc-editor.org/rfc/rfc8259#section-7>
fn json_bytes(text: &str) -> usize {
    let escape = |byte| match byte {
        b'"' | b'\\' | b'\x08' | b'\t' | b'\n' | b'\x0c' | b'\r' => 2,
        ..b' ' => 6,
        _ => 1,
    };
    text.bytes().map(escape).sum()
}

/// Reads a whole number within bounds.
pub fn integer(bounds: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<i64, Invalid> {
    move |value| {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number in the safe range of doubles")]
        let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
        within(&bounds, value.as_i64().or_else(|| value.as_f64().and_then(whole)))
    }
}

/// Reads a whole number within bounds from a query string, where it is text.
pub fn integer_text(bounds: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<i64, Invalid> {
    move |value| within(&bounds, value.as_str().and_then(|text| text.trim().parse().ok()))
}

fn within(bounds: &RangeInclusive<i64>, number: Option<i64>) -> Result<i64, Invalid> {
    let number = number.filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", bounds.start(), bounds.end()).into())
}

/// Reads the id of something, called `what`.
pub fn uuid<Id: FromStr>(what: &str) -> impl Fn(&Value) -> Result<Id, Invalid> {
    move |value| as_text(value)?.trim().parse().map_err(|_| format!("must be the id of {what}").into())
}

/// Reads an RFC 3339 time, such as `2026-11-23T08:30:00Z`, or a date, which is its midnight in UTC.
pub fn instant(value: &Value) -> Result<DateTime<Utc>, Invalid> {
    let text = as_text(value)?.trim();
    let parsed = DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .or_else(|_| text.parse::<NaiveDate>().map(|date| date.and_time(NaiveTime::MIN).and_utc()));
    parsed
        .ok()
        // What PostgreSQL can store and people can mean.
        .filter(|time| (1..=9999).contains(&time.year()))
        .ok_or_else(|| "must be a time such as 2026-11-23T08:30:00Z or a date such as 2026-11-23".into())
}

/// Reads true or false.
pub fn boolean(value: &Value) -> Result<bool, Invalid> {
    value.as_bool().ok_or_else(|| "must be true or false".into())
}

fn as_text(value: &Value) -> Result<&str, Invalid> {
    value.as_str().ok_or_else(|| "must be a text".into())
}

/// Reads a text that is parsed, such as an [`Email`](super::Email).
pub fn parsed<T: FromStr<Err = Invalid>>(value: &Value) -> Result<T, Invalid> {
    as_text(value)?.parse()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_bounded_as_it_is_sent() {
        for fits in ["😀", "\n", "\"", "\\", "å", "\u{7f}"] {
            assert!(text(100)(&json!(format!("x{}x", fits.repeat(98)))).is_ok(), "{fits:?}");
        }
        for control in ["\u{1}", "\u{b}", "\u{1f}"] {
            let content = |n| format!("x{}x", control.repeat(n));
            assert_eq!(json_bytes(&content(98)), json!(content(98)).to_string().len() - 2, "{control:?}");
            assert!(text(100)(&json!(content(66))).is_ok() && text(100)(&json!(content(67))).is_err(), "{control:?}");
        }
    }
}
