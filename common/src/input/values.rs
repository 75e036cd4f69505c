use std::{ops::RangeInclusive, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use email_address::{EmailAddress, Options};
use serde_json::Value;

use super::Invalid;

/// Reads a text of at most `max` characters, without the blanks around it.
pub fn text(max: usize) -> impl Fn(&Value) -> Result<String, Invalid> {
    move |value| {
        let text = as_text(value)?.trim();
        if text.contains('\0') {
            return Err("must not contain NUL characters".into());
        }
        if text.chars().count() > max {
            return Err(format!("must have at most {max} characters").into());
        }
        Ok(text.to_owned())
    }
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
pub fn digits(bounds: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<i64, Invalid> {
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

/// Reads a JSON object of at most `max` bytes that PostgreSQL can store.
pub fn json_object(max: usize) -> impl Fn(&Value) -> Result<Value, Invalid> {
    move |value| {
        if !value.is_object() {
            return Err("must be a JSON object".into());
        }
        storable(value, max)
    }
}

/// Reads a JSON array of objects, of at most `max` bytes, that PostgreSQL can store.
pub fn json_objects(max: usize) -> impl Fn(&Value) -> Result<Value, Invalid> {
    move |value| match value.as_array() {
        Some(items) if items.iter().all(Value::is_object) => storable(value, max),
        _ => Err("must be a JSON array of objects".into()),
    }
}

/// Reads true or false.
pub fn boolean(value: &Value) -> Result<bool, Invalid> {
    value.as_bool().ok_or_else(|| "must be true or false".into())
}

/// A JSON value as such, if `jsonb` can hold it: it has no way to write NUL.
fn storable(value: &Value, max: usize) -> Result<Value, Invalid> {
    let text = value.to_string();
    if text.len() > max {
        return Err(format!("must have at most {max} bytes as JSON").into());
    }
    if !is_storable(value) {
        return Err("must not contain NUL characters or numbers beyond 1e300".into());
    }
    Ok(value.clone())
}

/// `jsonb` writes numbers out in full, and the largest doubles do not survive that.
fn is_storable(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() <= 1e300),
        Value::Array(items) => items.iter().all(is_storable),
        Value::Object(members) => members.iter().all(|(name, value)| !name.contains('\0') && is_storable(value)),
        Value::Bool(_) | Value::Null => true,
    }
}

fn as_text(value: &Value) -> Result<&str, Invalid> {
    match value.as_str() {
        Some(text) if text.trim().is_empty() => Err(Invalid::Blank),
        Some(text) => Ok(text),
        None => Err("must be a text".into()),
    }
}

/// An e-mail address, as written. <https://www.rfc-editor.org/rfc/rfc5321>, <https://www.rfc-editor.org/rfc/rfc6531>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads one: quoted local parts, tags and international domains included; no display name, no address literal.
    pub fn parse(value: &Value) -> Result<Self, Invalid> {
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        let text = text(254)(value)?;
        EmailAddress::parse_with_options(&text, options)
            .map_err(|_| Invalid::from("must be an e-mail address, such as kari@example.no"))?;
        Ok(Self(text))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A phone number as typed, with its normal form beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// As typed.
    pub typed: String,
    /// As dialled from anywhere, such as `+4791234567`. <https://www.itu.int/rec/T-REC-E.164>
    pub e164: String,
}

impl Phone {
    /// Reads a number; one without a country code is Norwegian.
    pub fn parse(value: &Value) -> Result<Self, Invalid> {
        let typed = text(40)(value)?;
        let number = phonenumber::parse(Some(phonenumber::country::NO), &typed).ok();
        let number = number.filter(phonenumber::is_valid);
        let e164 = number.map(|number| number.format().mode(phonenumber::Mode::E164).to_string());
        let e164 = e164.ok_or("must be a phone number, such as +47 912 34 567")?;
        Ok(Self { typed, e164 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn phone_numbers_are_norwegian_unless_they_say_otherwise() {
        for (typed, e164) in [
            ("91234567", "+4791234567"),
            ("912 34 567", "+4791234567"),
            ("+47 912 34 567", "+4791234567"),
            ("0047 912 34 567", "+4791234567"),
            ("55 12 34 56", "+4755123456"),
            ("+46 70 123 45 67", "+46701234567"),
            ("+48 501 234 567", "+48501234567"),
        ] {
            let phone = Phone::parse(&json!(typed)).expect(typed);
            assert_eq!((phone.typed.as_str(), phone.e164.as_str()), (typed, e164));
        }
        for wrong in ["123", "ring meg", "+47 1", "+999 12345678", "912 34 567 891 011"] {
            assert!(Phone::parse(&json!(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_may_be_unusual_but_not_unusable() {
        for address in [
            "kari@example.no",
            "kari+bil@example.no",
            "\"kari nordmann\"@example.no",
            "åse@blåbærsyltetøy.no",
            "o'brien@example.ie",
        ] {
            assert!(Email::parse(&json!(address)).is_ok(), "{address}");
        }
        for wrong in [
            "kari",
            "kari@",
            "@example.no",
            "kari@localhost",
            "Kari <kari@example.no>",
            "kari@[127.0.0.1]",
            "a b@example.no",
        ] {
            assert!(Email::parse(&json!(wrong)).is_err(), "{wrong}");
        }
    }
}
