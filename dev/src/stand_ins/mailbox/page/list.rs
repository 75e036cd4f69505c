use chrono::{DateTime, Local, Utc};
use maud::{Markup, html};

use super::layout::{BUBBLE, ENVELOPE, Shown, icon};
use crate::stand_ins::mailbox::{Channel, Message};

/// How many are listed.
const LIMIT: usize = 200;
/// Characters of the first words of a text.
const SNIPPET: usize = 110;

pub(super) fn messages(messages: &[Message], shown: Option<&Shown<'_>>) -> Markup {
    let shown = shown.map(|shown| shown.message.id);
    html! {
        div.bar {
            h2 { "Messages " span.count { (messages.len()) } }
            @if !messages.is_empty() {
                form method="post" action="/clear" { button.plain { "Empty" } }
            }
        }
        @if messages.is_empty() { p.none { "Nothing has come." } }
        ol {
            @for message in messages.iter().rev().take(LIMIT) {
                li { (item(message, shown == Some(message.id))) }
            }
        }
        @if messages.len() > LIMIT { p.none { "The " (messages.len() - LIMIT) " before these are at /messages." } }
    }
}

fn item(message: &Message, is_shown: bool) -> Markup {
    let (drawing, name) = match message.channel() {
        Channel::Email => (ENVELOPE, "E-mail"),
        Channel::Sms => (BUBBLE, "SMS"),
    };
    html! {
        a.item href={ "/messages/" (message.id) } aria-current=[is_shown.then_some("true")] {
            span.kind.sms[message.channel() == Channel::Sms] title=(name) { (icon(drawing)) span.hidden { (name) } }
            span.who { (message.to.join(", ")) }
            (time(message.at))
            span.what { (title(message)) }
            span.snippet { (snippet(&message.text)) }
            (badges(message))
        }
    }
}

/// What is worth knowing at first sight.
pub(super) fn badges(message: &Message) -> Markup {
    let told = |what: &str| message.history.iter().any(|(_, line)| line.starts_with(what));
    let replies = message.replies.len();
    html! {
        @if message.copy > 1 || replies > 0 || told("bounced") || told("undelivered") || told("a complaint") || told("delivered") {
            span.badges {
                @if message.copy > 1 { span.badge.alarm { "came " (message.copy) " times" } }
                @if told("bounced") || told("undelivered") { span.badge.caution { "bounced" } }
                @if told("a complaint") { span.badge.caution { "complained" } }
                @if told("delivered") { span.badge.good { "delivered" } }
                @if replies == 1 { span.badge { "replied" } }
                @if replies > 1 { span.badge { (replies) " replies" } }
            }
        }
    }
}

pub(super) fn title(message: &Message) -> String {
    match (message.channel(), &message.subject) {
        (Channel::Sms, _) => format!("SMS from {}", message.from),
        (Channel::Email, Some(subject)) if !subject.trim().is_empty() => subject.clone(),
        (Channel::Email, _) => "(no subject)".to_owned(),
    }
}

fn snippet(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SNIPPET) {
        Some((end, _)) => format!("{}…", words[..end].trim_end()),
        None => words,
    }
}

/// On the clock of whoever looks, who sits at this host.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    let here = at.with_timezone(&Local);
    html! { time datetime=(at.to_rfc3339()) title=(here.format("%A %-d %B %Y, %H:%M:%S")) { (here.format("%H:%M:%S")) } }
}
