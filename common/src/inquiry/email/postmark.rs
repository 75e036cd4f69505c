//! Postmark's inbound webhook. <https://postmarkapp.com/developer/webhooks/inbound-webhook>

use serde::Deserialize;

use super::{
    body::Contents,
    headers::{Mailbox, lines},
    mail::Mail,
    mime::from_base64,
    received::{NoMail, Received},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inbound {
    original_recipient: Option<String>,
    from: Option<String>,
    from_name: Option<String>,
    reply_to: Option<String>,
    subject: Option<String>,
    date: Option<String>,
    text_body: Option<String>,
    html_body: Option<String>,
    headers: Option<Vec<Header>>,
    attachments: Option<Vec<File>>,
    raw_email: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    name: Option<String>,
    content: Option<String>,
    content_type: Option<String>,
}

/// Reads what Postmark posts, with the mail as it came (`RawEmail`) where that is switched on. `MessageID` is Postmark's
/// own; the mail's is among its headers.
pub fn read_postmark(body: &[u8]) -> Result<Received, NoMail> {
    let inbound: Inbound = serde_json::from_slice(body).map_err(|_| NoMail::NoJson)?;
    let mail = match inbound.raw_email.as_deref().filter(|raw| !raw.is_empty()) {
        Some(message) => Mail::read(message.as_bytes()),
        None => taken_apart(&inbound),
    };
    let recipients = inbound.original_recipient.as_deref().unwrap_or_default();
    Received::new(recipients.split(','), None, mail.ok_or(NoMail::NoHeaders)?)
}

fn taken_apart(inbound: &Inbound) -> Option<Mail> {
    let mut contents = Contents::default();
    contents.show(inbound.text_body.as_deref(), inbound.html_body.as_deref());
    for file in inbound.attachments.iter().flatten() {
        let content_type = file.content_type.as_deref().unwrap_or("application/octet-stream").to_ascii_lowercase();
        let content = from_base64(file.content.as_deref().unwrap_or_default().as_bytes());
        contents.attach(file.name.as_deref(), &content_type, &content);
    }
    let named = [
        ("From", &inbound.from),
        ("Reply-To", &inbound.reply_to),
        ("Subject", &inbound.subject),
        ("Date", &inbound.date),
    ];
    let named =
        named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref().filter(|value| !value.is_empty())?)));
    let listed = inbound.headers.iter().flatten().map(|header| (header.name.as_str(), header.value.as_str()));
    let mut mail = Mail::assembled(&lines(named.chain(listed)), contents)?;
    // It stands apart from the address.
    mail.from = mail.from.and_then(|from| match &from.name {
        Some(_) => Some(from),
        None => Mailbox::new(inbound.from_name.as_deref(), &from.address),
    });
    Some(mail)
}
