use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{super::Inquiry, Questions, id, maybe_id, maybe_time};

/// Keys of questions that Meta prefills. <https://developers.facebook.com/docs/marketing-api/guides/lead-ads/create>
const STANDARD: [&str; 21] = [
    "city",
    "company_name",
    "country",
    "date_of_birth",
    "date_time",
    "gender",
    "id_number",
    "job_title",
    "marital_status",
    "military_status",
    "post_code",
    "province",
    "relationship_status",
    "slot",
    "state",
    "street_address",
    "website",
    "work_email",
    "work_phone_number",
    "zip",
    "zip_code",
];
/// What a question about the vehicle has in its key or label, with spaces for underscores.
const ABOUT_VEHICLE: [&str; 13] = [
    "hvilken bil",
    "hvilke bil",
    "kva bil",
    "hvilken modell",
    "hvilke modell",
    "kva modell",
    "bilmodell",
    "which car",
    "which model",
    "which vehicle",
    "vehicle interest",
    "interessert i",
    "interested in",
];
const VEHICLES: [&str; 6] = ["bil", "modell", "model", "vehicle", "car", "kjøretøy"];
const ANSWERS: [&str; 4] = ["ja", "nei", "yes", "no"];

/// What somebody filled in, as Graph tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Lead {
    #[serde(deserialize_with = "id")]
    pub id: String,
    #[serde(default, deserialize_with = "maybe_time")]
    pub created_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "maybe_id")]
    pub form_id: Option<String>,
    #[serde(default)]
    field_data: Vec<Value>,
    /// Advertisement, campaign, platform …
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What was answered to one question.
struct Answers<'a> {
    key: &'a str,
    values: Vec<String>,
}

impl Lead {
    /// Every value of every question, with what the customer saw as the question and the answer where the questions are
    /// known. The answers to the questions that the dealership wrote are the message.
    pub fn inquiry(&self, questions: Option<&Questions>) -> Inquiry {
        let none = Questions::default();
        let questions = questions.unwrap_or(&none);
        let mut inquiry = Inquiry::default();
        let all: Vec<_> = self.field_data.iter().map(Answers::read).collect();
        name(&all, &mut inquiry);
        let mut message = Vec::new();
        for answers in &all {
            match answers.key {
                "full_name" | "first_name" | "last_name" => {}
                "email" | "work_email" => answers.emails(&mut inquiry),
                "phone_number" | "work_phone_number" | "phone" => answers.phones(&mut inquiry),
                key if STANDARD.contains(&key) => answers.note(key, questions, &mut inquiry),
                key => {
                    let (label, values) = (questions.label(key), answers.shown(questions));
                    if inquiry.vehicle_interest.is_none() && is_about_vehicle(key, label, &values) {
                        inquiry.set_vehicle_interest(&values.join(", "));
                    }
                    let sign = if label.ends_with(['?', ':', '.']) { "" } else { ":" };
                    message.push(format!("{label}{sign} {}", values.join(", ")));
                    answers.note(label, questions, &mut inquiry);
                }
            }
        }
        inquiry.set_message(&message.join("\n"));
        self.note_rest(&mut inquiry);
        inquiry
    }

    fn note_rest(&self, inquiry: &mut Inquiry) {
        if inquiry.vehicle_interest.is_none()
            && let Some(vehicle) = self.rest.get("vehicle").and_then(Value::as_str)
        {
            inquiry.set_vehicle_interest(vehicle);
        }
        inquiry.note("leadgen_id", self.id.as_str());
        if let Some(form_id) = &self.form_id {
            inquiry.note("form_id", form_id.as_str());
        }
        if let Some(time) = self.created_time {
            inquiry.note("created_time", time.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
        for (name, value) in &self.rest {
            inquiry.note(name, value.clone());
        }
    }
}

impl<'a> Answers<'a> {
    /// Of `{"name": …, "values": […]}`. Numbers and truth values count as their text; anything else is kept as JSON.
    fn read(field: &'a Value) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let values = match &field["values"] {
            Value::Array(values) => values.iter().map(text).collect(),
            Value::Null => Vec::new(),
            value => vec![text(value)],
        };
        let values = values.into_iter().map(|value: String| value.trim().to_owned());
        Self {
            key: field["name"].as_str().filter(|key| !key.trim().is_empty()).unwrap_or("answer"),
            values: values.filter(|value| !value.is_empty() && value != "null").collect(),
        }
    }

    fn emails(&self, inquiry: &mut Inquiry) {
        for value in &self.values {
            match value.parse() {
                Ok(email) if inquiry.email.is_none() => inquiry.email = Some(email),
                _ => inquiry.note(self.key, value.as_str()),
            }
        }
    }

    fn phones(&self, inquiry: &mut Inquiry) {
        for value in &self.values {
            match value.parse() {
                Ok(phone) if inquiry.phone.is_none() => inquiry.phone = Some(phone),
                _ => inquiry.note(self.key, value.as_str()),
            }
        }
    }

    fn shown(&self, questions: &Questions) -> Vec<String> {
        self.values.iter().map(|value| questions.answer(self.key, value).to_owned()).collect()
    }

    fn note(&self, name: &str, questions: &Questions, inquiry: &mut Inquiry) {
        for value in self.shown(questions) {
            inquiry.note(name, value);
        }
    }
}

/// The full name, or else what there is of it.
fn name(all: &[Answers<'_>], inquiry: &mut Inquiry) {
    let values = |key: &str| {
        let answers = all.iter().filter(|answers| answers.key == key);
        answers.flat_map(|answers| answers.values.clone()).collect::<Vec<_>>()
    };
    let (full, parts) = (values("full_name"), [values("first_name"), values("last_name")].concat());
    let (name, others) = match full.split_first() {
        Some((name, others)) => (name.clone(), [others, parts.as_slice()].concat()),
        None => (parts.join(" "), Vec::new()),
    };
    inquiry.set_name(&name);
    for other in others.iter().filter(|other| !name.contains(other.as_str())) {
        inquiry.note("name", other.as_str());
    }
}

/// `Har du bil i innbytte?` is not, nor is anything that is answered by yes or no.
fn is_about_vehicle(key: &str, label: &str, values: &[String]) -> bool {
    let asks = |text: &str| {
        let text = text.replace('_', " ").to_lowercase();
        let is_word = VEHICLES.contains(&text.trim_matches(|c: char| !c.is_alphanumeric()));
        is_word || ABOUT_VEHICLE.iter().any(|words| text.contains(words))
    };
    let tells = |value: &String| !ANSWERS.contains(&value.to_lowercase().as_str());
    !values.is_empty() && values.iter().all(tells) && (asks(key) || asks(label))
}
