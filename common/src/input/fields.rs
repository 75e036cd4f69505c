use std::{collections::BTreeMap, mem};

use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use utoipa::ToSchema;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The name of the query parameter or of the member of the body.
    #[schema(example = "customer_phone")]
    pub field: String,
    /// What is wrong and what would be right.
    #[schema(example = "must be a phone number, such as +47 912 34 567")]
    pub message: String,
}

/// Why a value is refused: completes a sentence that begins with the field's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub String);

impl From<String> for Invalid {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Invalid {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

/// The fields of a query string or a JSON object. Blank text is what forms send for a field that was left empty: what may be
/// empty is, and of what always has a value nothing was said.
#[derive(Debug)]
pub struct Fields {
    /// As they were written: a number may have more digits than a [`Value`] keeps.
    values: BTreeMap<String, Box<RawValue>>,
    /// The names that were asked for.
    known: Vec<String>,
    errors: Vec<FieldError>,
}

/// Something that can be read from a request's fields.
pub trait FromFields: Sized {
    /// Takes its fields, reporting what is wrong with each. The result counts only if nothing was reported.
    fn from_fields(fields: &mut Fields) -> Option<Self>;

    /// Reads a JSON object. Members that are not asked for are ignored, since clients send whole objects back.
    fn read(values: BTreeMap<String, Box<RawValue>>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::new(values);
        let value = Self::from_fields(&mut fields);
        fields.finish(value)
    }

    /// Reads a query string. Parameters that are not asked for, or that come twice, are errors: a misspelled filter must
    /// not show everything.
    fn read_query(pairs: Vec<(String, String)>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::new(BTreeMap::new());
        for (name, value) in pairs {
            let value = to_raw_value(&value).expect("a text is JSON");
            if fields.values.insert(name.clone(), value).is_some() {
                fields.report(&name, "may be given only once");
            }
        }
        let value = Self::from_fields(&mut fields);
        fields.report_unknown();
        fields.finish(value)
    }
}

/// What a request says of one field of something that exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Nothing: it stays.
    #[default]
    Keep,
    /// It shall be empty.
    Clear,
    /// It shall be this.
    Set(T),
}

impl<T> Patch<T> {
    pub fn as_ref(&self) -> Patch<&T> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(value),
        }
    }

    /// What it shall be, if that is something.
    fn given(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether the field will have a value, if the request says anything of it.
    pub fn sets(&self) -> Option<bool> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(false),
            Self::Set(_) => Some(true),
        }
    }

    /// The same of another value.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(to(value)),
        }
    }
}

impl Fields {
    fn new(values: BTreeMap<String, Box<RawValue>>) -> Self {
        Self { values, known: Vec::new(), errors: Vec::new() }
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        value.filter(|_| self.errors.is_empty()).ok_or(self.errors)
    }

    /// Reports what nobody asked for.
    fn report_unknown(&mut self) {
        let known = match self.known.as_slice() {
            [] => "this address takes no parameters".to_owned(),
            known => format!("known are {}", known.join(", ")),
        };
        for name in mem::take(&mut self.values).into_keys() {
            self.report(&name, &format!("is not a parameter here; {known}"));
        }
    }

    /// A field that may be absent, null or blank; `parse` says what is wrong with any other value.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&Value) -> Result<T, Invalid>) -> Option<T> {
        self.patch(name, parse).given()
    }

    /// A field that is JSON and may be absent, null or blank.
    pub fn optional_json<T>(&mut self, name: &str, parse: impl FnOnce(&RawValue) -> Result<T, Invalid>) -> Option<T> {
        self.patch_json(name, parse).given()
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &str, parse: impl FnOnce(&Value) -> Result<T, Invalid>) -> Option<T> {
        let errors = self.errors.len();
        let value = self.optional(name, parse);
        if value.is_none() && self.errors.len() == errors {
            self.report(name, "is required");
        }
        value
    }

    /// A field that may stay, be cleared or be set.
    pub fn patch<T>(&mut self, name: &str, parse: impl FnOnce(&Value) -> Result<T, Invalid>) -> Patch<T> {
        self.patch_json(name, |raw| match serde_json::from_str(raw.get()) {
            Ok(value) => parse(&value),
            Err(_) => Err("holds a number or a text that cannot be read".into()),
        })
    }

    /// The same of a field that is JSON, and stays as it was written.
    fn patch_json<T>(&mut self, name: &str, parse: impl FnOnce(&RawValue) -> Result<T, Invalid>) -> Patch<T> {
        self.known.push(name.to_owned());
        let Some(raw) = self.values.remove(name) else { return Patch::Keep };
        if is_blank(&raw) {
            return Patch::Clear;
        }
        // Here for all fields and whatever is in them, since PostgreSQL can store none.
        let value = if has_nul(&raw) { Err("must not contain NUL characters".into()) } else { parse(&raw) };
        match value {
            Ok(value) => Patch::Set(value),
            Err(Invalid(message)) => {
                self.report(name, &message);
                Patch::Keep
            }
        }
    }

    /// A field that may stay or be set, but never be empty: blank, it stays.
    pub fn change<T>(&mut self, name: &str, parse: impl FnOnce(&Value) -> Result<T, Invalid>) -> Option<T> {
        self.leave_blank(name);
        let patch = self.patch(name, parse);
        self.not_cleared(name, patch)
    }

    /// A field that is JSON and may stay or be set, but never be empty: blank, it stays.
    pub fn change_json<T>(&mut self, name: &str, parse: impl FnOnce(&RawValue) -> Result<T, Invalid>) -> Option<T> {
        self.leave_blank(name);
        let patch = self.patch_json(name, parse);
        self.not_cleared(name, patch)
    }

    /// Takes a blank text for nothing at all. Null stays: a program says it, and means it.
    fn leave_blank(&mut self, name: &str) {
        if self.values.get(name).is_some_and(|raw| is_blank_text(raw)) {
            self.values.remove(name);
        }
    }

    fn not_cleared<T>(&mut self, name: &str, patch: Patch<T>) -> Option<T> {
        if matches!(patch, Patch::Clear) {
            self.report(name, "cannot be null");
        }
        patch.given()
    }

    /// Whether anything was wrong so far.
    pub fn has_problems(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Reports a problem of a field.
    pub fn report(&mut self, field: &str, message: &str) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }
}

/// Whether a text in it, or the name of a member, has a NUL, which JSON can only write as an escape.
fn has_nul(raw: &RawValue) -> bool {
    let mut rest = raw.get();
    while let Some((_, escape)) = rest.split_once('\\') {
        if escape.starts_with("u0000") {
            return true;
        }
        // What is escaped may be a backslash, which escapes nothing.
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

fn is_blank(raw: &RawValue) -> bool {
    raw.get() == "null" || is_blank_text(raw)
}

fn is_blank_text(raw: &RawValue) -> bool {
    serde_json::from_str::<String>(raw.get()).is_ok_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        let has = |json: &str| has_nul(&RawValue::from_string(json.to_owned()).expect("JSON"));
        for with in
            [r#""\u0000""#, r#""a\u0000b""#, r#"[{"a":["\\\u0000"]}]"#, r#"{"a":{"\u0000":1}}"#, r#""å\nb\u0000""#]
        {
            assert!(has(with), "{with}");
        }
        for without in [r#""\\u0000""#, r#""\u0001""#, r#""\u00e5u0000""#, r#""\"""#, "0", r#"["\\\\u0000", "å\\"]"#] {
            assert!(!has(without), "{without}");
        }
    }
}
