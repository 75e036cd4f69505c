//! How a message of the outbox looks when it leaves.

use super::mail::{self, MailContent, Quoted};
use crate::{
    answers::{
        gate::leads_elsewhere,
        template::{self, Author},
    },
    ids::DealershipId,
    language::Language,
    outbox::{OutgoingMessage, reply_token, tag},
};

/// Where mails come from and answers go to.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The address that our mails come from.
    pub from: &'a str,
    /// The domain of the addresses for answers, if there is one.
    pub inbound_domain: Option<&'a str>,
    /// Of the API, without a slash at the end, if it is known.
    pub public_url: Option<&'a str>,
}

/// A mail, ready to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Names the message in reports.
    pub tag: String,
    /// What the customer is called.
    pub to_name: Option<String>,
    pub reply_to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Where the customer says that they want no more.
    pub unsubscribe: Option<String>,
}

/// Answers come back into the lead where we receive mail, and to the dealership where we do not.
fn reply_to(message: &OutgoingMessage, envelope: &Envelope<'_>) -> String {
    match (&message.sender.mail_key, envelope.inbound_domain) {
        (Some(key), Some(domain)) => format!("{key}+{}@{domain}", reply_token(message.id)),
        _ => message.sender.email.clone().unwrap_or_else(|| envelope.from.to_owned()),
    }
}

pub fn compose(message: &OutgoingMessage, envelope: &Envelope<'_>, dealership: DealershipId) -> Letter {
    let tag = tag(dealership, message.id);
    let language = language(message);
    let unsubscribe = envelope.public_url.filter(|_| message.automatic).map(|url| format!("{url}/unsubscribe/{tag}"));
    let rendered = mail::render(&content(message, envelope, language, unsubscribe.clone()));
    Letter {
        tag,
        to_name: name(message),
        reply_to: reply_to(message, envelope),
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        unsubscribe,
    }
}

/// Writes the text message: what it says, and who says it.
pub fn compose_sms(message: &OutgoingMessage) -> String {
    let signed = format!("{}\n{}", message.text.content.trim(), message.sender.name);
    match disclosure(message, language(message)) {
        Some(disclosure) => format!("{disclosure}\n\n{signed}"),
        None => signed,
    }
}

fn language(message: &OutgoingMessage) -> Language {
    message.text.language.as_deref().and_then(Language::of_tag).unwrap_or(Language::Nb)
}

/// Automatic messages say so.
fn disclosure(message: &OutgoingMessage, language: Language) -> Option<String> {
    let phone = message.sender.phone.as_deref();
    let author = if message.text.by_assistant { Author::Assistant } else { Author::Template };
    message.automatic.then(|| template::disclosure(language, author, phone))
}

fn content(
    message: &OutgoingMessage,
    envelope: &Envelope<'_>,
    language: Language,
    unsubscribe: Option<String>,
) -> MailContent {
    let (sender, text) = (&message.sender, &message.text);
    MailContent {
        language,
        dealership: mail::Sender {
            name: sender.name.clone(),
            logo_url: sender.logo_url.clone(),
            phone: sender.phone.clone(),
            email: sender.email.clone(),
            address: sender.address.clone(),
        },
        subject: subject(message, language),
        body: text.content.clone(),
        signature: signature(message),
        disclosure: disclosure(message, language),
        reply_hint: envelope.inbound_domain.is_some() && sender.mail_key.is_some(),
        unsubscribe_url: unsubscribe,
        quoted: message.answers.as_ref().filter(|reply| may_repeat(message, &reply.text)).map(|reply| Quoted {
            who: name(message).unwrap_or_else(|| message.recipient.clone()),
            when: reply.at.clone(),
            text: reply.text.clone(),
        }),
    }
}

/// Whether a customer's own words may stand in a message. Whoever fills in a form types any address: what is sent by itself
/// must not carry a stranger's links to it.
fn may_repeat(message: &OutgoingMessage, words: &str) -> bool {
    !message.automatic || !leads_elsewhere(words)
}

fn name(message: &OutgoingMessage) -> Option<String> {
    message.text.customer_name.clone().filter(|name| may_repeat(message, name))
}

/// Who wrote it, if somebody did, and what the dealership puts below.
fn signature(message: &OutgoingMessage) -> Option<String> {
    let author = (!message.automatic).then(|| message.text.author.clone());
    let lines: Vec<_> = author.into_iter().chain(message.sender.signature.clone()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Mail programs thread by it as well.
fn subject(message: &OutgoingMessage, language: Language) -> String {
    if let Some(subject) = message.text.subject.as_ref().filter(|subject| may_repeat(message, subject)) {
        let is_reply = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
        return if is_reply { subject.clone() } else { format!("Re: {subject}") };
    }
    let yours = match language {
        Language::Nb | Language::Da => "Din henvendelse til",
        Language::Nn => "Førespurnaden din til",
        Language::En => "Your inquiry to",
        Language::Sv => "Din förfrågan till",
        Language::Pl => "Zapytanie do",
        Language::De => "Ihre Anfrage an",
    };
    match message.text.vehicle_interest.as_ref().filter(|vehicle| may_repeat(message, vehicle)) {
        Some(vehicle) => format!("{yours} {}: {vehicle}", message.sender.name),
        None => format!("{yours} {}", message.sender.name),
    }
}
