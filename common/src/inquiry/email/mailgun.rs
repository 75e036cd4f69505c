//! Mailgun's routes. <https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/>

use super::{
    body::Contents,
    headers::lines,
    mail::Mail,
    post::Form,
    received::{NoMail, Received},
};

/// Headers that Mailgun also posts as fields of their own.
const HEADERS: [&str; 8] =
    ["from", "subject", "Date", "Message-Id", "Reply-To", "In-Reply-To", "References", "Auto-Submitted"];

/// Reads what a route posts, with the mail as it came (field `body-mime`) or taken apart.
pub fn read_mailgun(content_type: &str, body: &[u8]) -> Result<Received, NoMail> {
    let form = Form::read(content_type, body)?;
    let recipients = form.text("recipient").ok_or(NoMail::NoRecipient)?;
    let mail = match form.bytes("body-mime") {
        Some(message) => Mail::read(message),
        None => taken_apart(&form),
    };
    Received::new(recipients.split(','), form.text("sender").as_deref(), mail.ok_or(NoMail::NoHeaders)?)
}

fn taken_apart(form: &Form) -> Option<Mail> {
    let mut contents = Contents::default();
    contents.show(form.text("body-plain").as_deref(), form.text("body-html").as_deref());
    for file in form.files() {
        let content_type = file.content_type.as_deref().unwrap_or("application/octet-stream");
        contents.attach(file.file_name.as_deref(), &content_type.to_ascii_lowercase(), &file.bytes);
    }
    let list = form.text("message-headers").and_then(|text| serde_json::from_str::<Vec<(String, String)>>(&text).ok());
    let list = list
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), form.text(name)?))).collect());
    let head = lines(list.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Mail::assembled(&head, contents)
}
