//! What a provider took, as a message.

use common::clock::Clock;
use mail_parser::{Address, HeaderValue, MessageParser, PartType};

use super::{Message, Provider};
use crate::random;

/// A mail with the envelope that it came in.
pub(super) fn mail(clock: &Clock, return_path: &str, to: Vec<String>, bytes: &[u8]) -> Message {
    let mut message = empty(clock, Provider::Smtp, random::clerk_id("q"));
    message.return_path = Some(return_path.to_owned()).filter(|path| !path.is_empty());
    message.to = to;
    message.raw = String::from_utf8_lossy(bytes).into_owned();
    let Some(parsed) = MessageParser::default().parse(bytes) else {
        message.text.clone_from(&message.raw);
        return message;
    };
    if let Some(from) = parsed.from().and_then(Address::first) {
        from.address().unwrap_or_default().clone_into(&mut message.from);
        message.from_name = from.name().map(str::to_owned);
    }
    let reply_to = parsed.reply_to().and_then(Address::first).and_then(|to| to.address());
    message.reply_to = reply_to.map(str::to_owned);
    message.subject = parsed.subject().map(str::to_owned);
    message.text = parsed.body_text(0).unwrap_or_default().into_owned();
    let is_html = parsed.html_part(0).is_some_and(|part| matches!(part.body, PartType::Html(_)));
    message.html = parsed.body_html(0).filter(|_| is_html).map(std::borrow::Cow::into_owned);
    let unfolded = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    message.headers = parsed.headers_raw().map(|(name, value)| (name.to_owned(), unfolded(value))).collect();
    message.message_id = parsed.message_id().map(str::to_owned);
    message.references = ids(parsed.references());
    message
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    match value {
        HeaderValue::Text(id) => vec![id.to_string()],
        HeaderValue::TextList(ids) => ids.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn sms(clock: &Clock, from: &str, to: &str, text: &str, status_callback: Option<String>) -> Message {
    let id = common::hex(&random::bytes::<16>());
    let mut message = empty(clock, Provider::Twilio, format!("SM{id}"));
    from.clone_into(&mut message.from);
    message.to = vec![to.to_owned()];
    text.clone_into(&mut message.text);
    message.status_callback = status_callback;
    message
}

/// One of which nothing is read yet.
pub(super) fn empty(clock: &Clock, provider: Provider, provider_id: String) -> Message {
    Message {
        id: 0,
        at: clock.now(),
        provider,
        provider_id,
        copy: 1,
        return_path: None,
        from: String::new(),
        from_name: None,
        to: Vec::new(),
        reply_to: None,
        subject: None,
        text: String::new(),
        html: None,
        headers: Vec::new(),
        message_id: None,
        references: Vec::new(),
        status_callback: None,
        idempotency_key: None,
        raw: String::new(),
        replies: Vec::new(),
        history: Vec::new(),
    }
}
