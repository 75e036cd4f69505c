//! Reading what strangers send: every field's problem is found in one pass, none hides another.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name in the query or the body.
    #[schema(example = "customer_phone")]
    pub field: String,
    /// What is wrong and what would be right.
    #[schema(example = "must be a phone number, such as +47 912 34 567")]
    pub message: String,
}

/// The fields of a query string or a JSON object. Take what is known, then [`Fields::finish`].
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    errors: Vec<FieldError>,
}

/// Something that can be read from a request's fields.
pub trait FromFields: Sized {
    /// Takes its fields, reporting what is wrong with each. The result counts only if nothing was reported.
    fn from_fields(fields: &mut Fields) -> Option<Self>;

    /// Reads the whole of a request. Fields that nobody asks for are ignored.
    fn read(values: Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields { values, errors: Vec::new() };
        match Self::from_fields(&mut fields) {
            Some(value) if fields.errors.is_empty() => Ok(value),
            _ => Err(fields.errors),
        }
    }
}

impl Fields {
    /// A field that may be absent or empty; `parse` says what is wrong with its text.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = match self.values.remove(name)? {
            Value::Null => return None,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => {
                self.report(name, "must be a text");
                return None;
            }
        };
        if text.trim().is_empty() {
            return None;
        }
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.report(name, &message);
                None
            }
        }
    }

    /// Reports a problem of a field.
    pub fn report(&mut self, field: &str, message: &str) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }
}

/// Reads a whole number within bounds.
pub fn integer(text: &str, bounds: std::ops::RangeInclusive<i64>) -> Result<i64, String> {
    let (low, high) = (*bounds.start(), *bounds.end());
    match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ if high == i64::MAX => Err(format!("must be a whole number, {low} or more")),
        _ => Err(format!("must be a whole number from {low} to {high}")),
    }
}

/// Reads an RFC 3339 time, such as `2026-11-23T08:30:00Z`, or a date, which is its midnight in UTC.
pub fn time(text: &str) -> Result<chrono::DateTime<chrono::Utc>, String> {
    let parsed = chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .or_else(|_| text.parse::<chrono::NaiveDate>().map(|date| date.and_time(chrono::NaiveTime::MIN).and_utc()));
    parsed
        .ok()
        // What PostgreSQL can store and people can mean.
        .filter(|time| (1..=9999).contains(&chrono::Datelike::year(time)))
        .ok_or_else(|| "must be a time such as 2026-11-23T08:30:00Z or a date such as 2026-11-23".to_owned())
}

/// Reads a text of at most `max` characters that PostgreSQL can store.
pub fn text(text: &str, max: usize) -> Result<String, String> {
    if text.contains('\0') {
        return Err("must not contain NUL characters".to_owned());
    }
    if text.chars().count() > max {
        return Err(format!("must have at most {max} characters"));
    }
    Ok(text.to_owned())
}
