//! `SendGrid`'s Inbound Parse.
//! <https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook>

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    body::Contents,
    headers::lines,
    mail::Mail,
    marks::Mark,
    post::Form,
    received::{NoMail, Received},
};
use crate::inquiry::charset;

/// What `SpamAssassin` calls spam unless it is told otherwise.
const SPAM_SCORE: f64 = 5.0;

#[derive(Debug, Deserialize)]
struct Envelope {
    #[serde(default)]
    to: Vec<String>,
    from: Option<String>,
}

/// A file, as `attachment-info` tells of it.
#[derive(Debug, Default, Deserialize)]
struct Info {
    filename: Option<String>,
    #[serde(rename = "type")]
    content_type: Option<String>,
}

/// Reads what `SendGrid` posts, with the mail as it came (field `email`) or taken apart. The recipients are those of the
/// envelope; the field `to` is a header.
pub fn read_sendgrid(content_type: &str, body: &[u8]) -> Result<Received, NoMail> {
    let form = Form::read(content_type, body)?;
    let envelope = form.text("envelope").and_then(|text| serde_json::from_str::<Envelope>(&text).ok());
    let envelope = envelope.ok_or(NoMail::NoRecipient)?;
    let mut mail = match form.bytes("email") {
        Some(message) => Mail::read(message),
        None => taken_apart(&form),
    }
    .ok_or(NoMail::NoHeaders)?;
    let score = form.text("spam_score").and_then(|score| score.trim().parse::<f64>().ok());
    if score.is_some_and(|score| score >= SPAM_SCORE) {
        mail.marks.insert(Mark::Spam);
    }
    Received::new(envelope.to.iter().map(String::as_str), envelope.from.as_deref(), mail)
}

fn taken_apart(form: &Form) -> Option<Mail> {
    // Each field is in a character set of its own.
    let charsets: BTreeMap<String, String> = json(form, "charsets");
    let text =
        |name: &str| form.bytes(name).map(|bytes| charset::decode(bytes, charsets.get(name).map(String::as_str)));
    let infos: BTreeMap<String, Info> = json(form, "attachment-info");
    let mut contents = Contents::default();
    contents.show(text("text").as_deref(), text("html").as_deref());
    for file in form.files() {
        let info = infos.get(&file.name);
        let name = info.and_then(|info| info.filename.as_deref()).or(file.file_name.as_deref());
        let content_type = info.and_then(|info| info.content_type.as_deref()).or(file.content_type.as_deref());
        contents.attach(name, &content_type.unwrap_or("application/octet-stream").to_ascii_lowercase(), &file.bytes);
    }
    let head = text("headers").filter(|head| !head.trim().is_empty()).unwrap_or_else(|| {
        let (from, subject) = (text("from").unwrap_or_default(), text("subject").unwrap_or_default());
        let headers = [("From", from.as_str()), ("Subject", subject.as_str())];
        lines(headers.into_iter().filter(|(_, value)| !value.is_empty()))
    });
    Mail::assembled(&head, contents)
}

/// What a field says in JSON, or nothing.
fn json<T: Default + DeserializeOwned>(form: &Form, field: &str) -> T {
    form.text(field).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
