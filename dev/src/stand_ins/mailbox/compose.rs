//! Mails that customers and mail servers send.

use common::clock::Clock;
use mail_builder::{
    MessageBuilder,
    headers::{address::Address, content_type::ContentType, raw::Raw},
    mime::{BodyPart, MimePart},
};

use super::Message;
use crate::random;

/// What the customer answers, with the answered text below as mail programs put it.
pub(super) fn reply(clock: &Clock, message: &Message, text: &str) -> Vec<u8> {
    let subject = message.subject.as_deref().unwrap_or_default();
    let subject = if subject.to_lowercase().starts_with("re:") { subject.to_owned() } else { format!("Re: {subject}") };
    let quoted: String = message.text.lines().flat_map(|line| ["> ", line.trim_end(), "\r\n"]).collect();
    let when = message.at.format("%d.%m.%Y %H:%M");
    let text = format!("{}\r\n\r\nDen {when} skrev {}:\r\n{quoted}", text.trim(), message.from);
    let customer = customer(message);
    let mail = MessageBuilder::new()
        .from(customer)
        .to(message.answer_to())
        .subject(subject)
        .date(clock.now().timestamp())
        .message_id(new_id("customer.test"))
        .text_body(text);
    bytes(threaded(mail, message))
}

fn threaded<'m>(mail: MessageBuilder<'m>, message: &'m Message) -> MessageBuilder<'m> {
    let Some(id) = &message.message_id else { return mail };
    let references: String = message.references.iter().chain([id]).flat_map(|id| ["<", id, "> "]).collect();
    mail.in_reply_to(id.as_str()).header("References", Raw::new(references.trim_end().to_owned()))
}

/// A report that it did not arrive. <https://www.rfc-editor.org/rfc/rfc3464>
pub(super) fn bounce(clock: &Clock, message: &Message) -> Vec<u8> {
    let to = customer(message);
    let words = format!(
        "This is the mail system at host mx.customer.test.\r\n\r\nYour message could not be delivered.\r\n\r\n\
         <{to}>: 550 5.1.1 No such person here\r\n"
    );
    let status = format!(
        "Reporting-MTA: dns; mx.customer.test\r\nArrival-Date: {}\r\n\r\nFinal-Recipient: rfc822; {to}\r\n\
         Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.customer.test\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 No such person here\r\n",
        message.at.to_rfc2822()
    );
    let subject = "Undelivered Mail Returned to Sender";
    let daemon = Address::new_address(Some("Mail Delivery System"), "MAILER-DAEMON@mx.customer.test");
    report(clock, message, daemon, subject, "delivery-status", words, status)
}

/// A report that the customer calls it spam. <https://www.rfc-editor.org/rfc/rfc5965>
pub(super) fn complaint(clock: &Clock, message: &Message) -> Vec<u8> {
    let to = customer(message);
    let words = format!("{to} has marked this message as spam.\r\n");
    let status = format!(
        "Feedback-Type: abuse\r\nUser-Agent: Mailbox/1.0\r\nVersion: 1\r\nOriginal-Rcpt-To: {to}\r\n\
         Original-Mail-From: {}\r\nArrival-Date: {}\r\n",
        message.return_path.as_deref().unwrap_or(&message.from),
        message.at.to_rfc2822()
    );
    let sender = Address::new_address(Some("Feedback Loop"), "feedback@mx.customer.test");
    let subject = format!("Complaint about: {}", message.subject.as_deref().unwrap_or_default());
    report(clock, message, sender, &subject, "feedback-report", words, status)
}

fn report(
    clock: &Clock,
    message: &Message,
    sender: Address<'_>,
    subject: &str,
    kind: &str,
    words: String,
    status: String,
) -> Vec<u8> {
    let headers = message.headers.iter();
    let original: String = headers.flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let plain = |kind: String, text: String| {
        MimePart::new(ContentType::new(kind), BodyPart::Text(text.into())).transfer_encoding("8bit")
    };
    let parts = vec![
        MimePart::new(ContentType::new("text/plain"), BodyPart::Text(words.into())),
        plain(format!("message/{kind}"), status),
        plain("text/rfc822-headers".to_owned(), original),
    ];
    let content = ContentType::new("multipart/report").attribute("report-type", kind.to_owned());
    let mail = MessageBuilder::new()
        .header("Return-Path", Raw::new("<>"))
        .from(sender)
        .to(message.report_to())
        .subject(subject)
        .date(clock.now().timestamp())
        .message_id(new_id("mx.customer.test"))
        .header("Auto-Submitted", Raw::new("auto-replied"))
        .body(MimePart::new(content, BodyPart::Multipart(parts)));
    bytes(mail)
}

pub(super) fn customer(message: &Message) -> &str {
    message.to.first().map_or("kunde@customer.test", String::as_str)
}

fn new_id(host: &str) -> String {
    format!("{}@{host}", random::password())
}

fn bytes(mail: MessageBuilder<'_>) -> Vec<u8> {
    mail.write_to_vec().expect("a Vec takes everything")
}
