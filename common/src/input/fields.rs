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

/// Why a value is not one of those wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// It is text without anything in it, which forms send for a field that was left empty.
    Blank,
    /// For this reason, which completes a sentence that begins with the field's name.
    Because(String),
}

impl From<String> for Invalid {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

impl From<&str> for Invalid {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

/// The fields of a query string or a JSON object. Take what is known, then [`FromFields::read`] sees to the rest:
/// fields that nobody asks for are ignored, since clients send whole objects back.
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    errors: Vec<FieldError>,
}

/// Something that can be read from a request's fields.
pub trait FromFields: Sized {
    /// Takes its fields, reporting what is wrong with each. The result counts only if nothing was reported.
    fn from_fields(fields: &mut Fields) -> Option<Self>;

    /// Reads the whole of a request.
    fn read(values: Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields { values, errors: Vec::new() };
        match Self::from_fields(&mut fields) {
            Some(value) if fields.errors.is_empty() => Ok(value),
            _ => Err(fields.errors),
        }
    }
}

/// What a request says of one field of something that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch<T> {
    /// Nothing: it stays.
    Keep,
    /// It shall be empty.
    Clear,
    /// It shall be this.
    Set(T),
}

impl<T> Patch<T> {
    /// The same, borrowed.
    pub fn as_ref(&self) -> Patch<&T> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(value),
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
    /// A field that may be absent, null or, if it is text, blank; `parse` says what is wrong with any other value.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&Value) -> Result<T, Invalid>) -> Option<T> {
        match self.patch(name, parse) {
            Patch::Set(value) => Some(value),
            Patch::Keep | Patch::Clear => None,
        }
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
        let value = match self.values.remove(name) {
            None => return Patch::Keep,
            Some(Value::Null) => return Patch::Clear,
            Some(value) => value,
        };
        match parse(&value) {
            Ok(value) => Patch::Set(value),
            Err(Invalid::Blank) => Patch::Clear,
            Err(Invalid::Because(message)) => {
                self.report(name, &message);
                Patch::Keep
            }
        }
    }

    /// A field that may stay or be set, but never be empty.
    pub fn change<T>(&mut self, name: &str, parse: impl FnOnce(&Value) -> Result<T, Invalid>) -> Option<T> {
        match self.patch(name, parse) {
            Patch::Set(value) => Some(value),
            Patch::Keep => None,
            Patch::Clear => {
                self.report(name, "cannot be empty");
                None
            }
        }
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
