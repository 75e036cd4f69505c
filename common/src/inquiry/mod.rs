//! What a customer asks, whatever the source. A reader makes it of bytes, without the database and without the network,
//! and refuses nothing that a person wrote: what does not fit a field is kept among the details.

pub mod adf;
pub mod charset;
pub mod email;
pub mod facebook;
pub mod form;
pub mod multipart;
#[cfg(test)]
mod mutated;
mod numbers;

use serde_json::{Map, Value};

use crate::input::{Email, Phone, is_script};

/// Characters that each field may have, as those of a lead.
const NAME_LIMIT: usize = 200;
const VEHICLE_LIMIT: usize = 500;
const URL_LIMIT: usize = 2000;
const MESSAGE_LIMIT: usize = 20_000;
/// Bytes of JSON that the details may have, without what is said of those that were left out.
const DETAILS_LIMIT: usize = 16_000;
/// Bytes that a single name of a detail may have.
const DETAIL_NAME_LIMIT: usize = 200;

/// One inquiry, with every value in bounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inquiry {
    pub name: Option<String>,
    pub email: Option<Email>,
    pub phone: Option<Phone>,
    /// What they are interested in.
    pub vehicle_interest: Option<String>,
    pub message: Option<String>,
    /// The page it came from.
    pub source_url: Option<String>,
    /// Everything else that the source told, by its names for it.
    pub details: Map<String, Value>,
    /// About how many bytes of JSON the details have. Counted as they come: a sender may send thousands.
    noted: usize,
}

/// An inquiry of a delivery, and what it is known by besides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewInquiry {
    pub inquiry: Inquiry,
    /// What the source calls it, if it does: the same whenever it comes again, in whatever delivery.
    pub key: Option<String>,
    /// Message-ID of the mail.
    pub mail_id: Option<String>,
    /// The mails that it answers, by Message-ID.
    pub answers: Vec<String>,
}

impl From<Inquiry> for NewInquiry {
    fn from(inquiry: Inquiry) -> Self {
        Self { inquiry, ..Self::default() }
    }
}

/// What a reader makes of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    Inquiries(Vec<NewInquiry>),
    /// A person decides whether they are any.
    Doubtful(String, Vec<NewInquiry>),
    /// The same, where rules cannot tell at all.
    Unsure(Box<email::Unsure>),
    /// A mail of ours that did not arrive.
    Report(email::Report),
    /// Of no use by design, for this reason.
    Ignored(String),
    /// It cannot be read, for this reason.
    Dead(String),
}

impl Inquiry {
    /// Whether the customer can be answered.
    pub fn is_reachable(&self) -> bool {
        self.email.is_some() || self.phone.is_some()
    }

    /// Who asks, if they say so.
    pub fn set_name(&mut self, text: &str) {
        self.set(text, NAME_LIMIT, "name", |inquiry| &mut inquiry.name);
    }

    /// Their e-mail address; a text that is none is kept among the details.
    pub fn set_email(&mut self, text: &str) {
        match text.parse() {
            Ok(email) => self.email = Some(email),
            Err(_) => self.note("email", text),
        }
    }

    /// Their phone number; a text that is none is kept among the details.
    pub fn set_phone(&mut self, text: &str) {
        match text.parse() {
            Ok(phone) => self.phone = Some(phone),
            Err(_) => self.note("phone", text),
        }
    }

    pub fn set_vehicle_interest(&mut self, text: &str) {
        self.set(text, VEHICLE_LIMIT, "vehicle_interest", |inquiry| &mut inquiry.vehicle_interest);
    }

    pub fn set_message(&mut self, text: &str) {
        self.set(text, MESSAGE_LIMIT, "message", |inquiry| &mut inquiry.message);
    }

    /// Where the customer came from. People follow it, so that what is a script is kept among the details.
    pub fn set_source_url(&mut self, text: &str) {
        if is_script(text) {
            return self.note("source_url", text);
        }
        self.set(text, URL_LIMIT, "source_url", |inquiry| &mut inquiry.source_url);
    }

    /// Cuts off what is too long, and says so.
    fn set(&mut self, text: &str, limit: usize, name: &str, field: impl FnOnce(&mut Self) -> &mut Option<String>) {
        let text = clean(text);
        let text = text.trim();
        let cut: String = text.chars().take(limit).collect();
        if cut.len() < text.len() {
            self.note(&format!("{name}_cut_off_after"), limit);
        }
        *field(self) = Some(cut.trim_end().to_owned()).filter(|text| !text.is_empty());
    }

    /// Keeps something that has no field of its own. What has the same name is kept beside it, as a list. What is too much
    /// is counted as `left_out`.
    pub fn note(&mut self, name: &str, value: impl Into<Value>) {
        let value = cleaned(value.into());
        if value.is_null() || value.as_str().is_some_and(str::is_empty) {
            return;
        }
        // Once something did not fit, nothing is weighed any more: a sender may send many.
        if let Some(left_out) = self.details.get_mut("left_out") {
            *left_out = (left_out.as_u64().unwrap_or(0) + 1).into();
            return;
        }
        let name: String = clean(name).trim().chars().take(DETAIL_NAME_LIMIT).collect();
        let around = if self.details.contains_key(&name) { 3 } else { name.len() + 4 };
        self.noted += around + value.to_string().len();
        if self.noted > DETAILS_LIMIT {
            self.details.insert("left_out".to_owned(), 1.into());
            return;
        }
        match self.details.get_mut(&name) {
            None => _ = self.details.insert(name, value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

/// A text that PostgreSQL can store and a page can show: line ends as `\n`, and no control characters besides them and tabs.
pub fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => clean(&text).trim().into(),
        Value::Array(values) => values.into_iter().map(cleaned).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (clean(&name), cleaned(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_kept_elsewhere_or_counted() {
        let mut inquiry = Inquiry::default();
        inquiry.set_email("kari at example.no");
        inquiry.set_phone("912 34 567");
        inquiry.set_name(&"å".repeat(201));
        assert_eq!(inquiry.details["email"], "kari at example.no");
        assert_eq!(inquiry.phone.as_ref().map(|phone| phone.e164.as_str()), Some("+4791234567"));
        assert_eq!(inquiry.name.as_deref().map(|name| name.chars().count()), Some(200));
        assert_eq!(inquiry.details["name_cut_off_after"], 200);
        inquiry.set_source_url("java\tscript:alert(1)");
        assert!(inquiry.source_url.is_none() && inquiry.details["source_url"] == "java\tscript:alert(1)");
        inquiry.note("farge", "rød");
        inquiry.note("farge", "blå\0");
        assert_eq!(inquiry.details["farge"], serde_json::json!(["rød", "blå"]));
        for _ in 0..3 {
            inquiry.note("stor", "x".repeat(DETAILS_LIMIT));
        }
        assert_eq!(inquiry.details["left_out"], 3);
        assert!(Value::Object(inquiry.details).to_string().len() < DETAILS_LIMIT + 100);
    }
}
