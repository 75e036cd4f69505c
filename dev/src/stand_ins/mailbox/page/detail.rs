use maud::{Markup, html};

use super::{
    View,
    layout::Shown,
    list::{badges, time, title},
    phone,
};
use crate::stand_ins::mailbox::{Channel, Message, Provider};

/// Links open elsewhere; there is no script in a sandbox.
const FRAME_HEAD: &str = "<!doctype html><meta charset=utf-8><base target=_blank>\
                          <style>body{font:16px/1.5 system-ui,sans-serif;margin:16px;color:#1b2330;background:#fff}</style>";

pub(super) fn message(all: &[Message], shown: &Shown<'_>) -> Markup {
    let Shown { message, view, .. } = shown;
    html! {
        a.back href="/" { "← All messages" }
        article {
            (head(message))
            @match message.channel() {
                Channel::Sms => (phone::conversation(all, message)),
                Channel::Email => {
                    (tabs(message, *view))
                    (body(message, *view))
                }
            }
            (actions(message))
            (history(message))
        }
    }
}

fn head(message: &Message) -> Markup {
    let name = message.from_name.as_deref().unwrap_or(&message.from);
    let initial = name.chars().find(|letter| letter.is_alphanumeric()).map(|letter| letter.to_uppercase().to_string());
    html! {
        div.head {
            div.title { h1 { (title(message)) } (badges(message)) }
            div.sender {
                span.avatar aria-hidden="true" { (initial.unwrap_or_default()) }
                div {
                    p { b { (name) } @if message.from_name.is_some() { " " span.quiet { "<" (message.from) ">" } } }
                    p.quiet {
                        "to " (message.to.join(", "))
                        @if let Some(reply_to) = &message.reply_to { " · answers go to " (reply_to) }
                    }
                }
                p.quiet.when { (time(message.at)) " " br; "by " (message.provider) }
            }
        }
    }
}

fn tabs(message: &Message, view: View) -> Markup {
    let views = [
        (View::Mail, "As the customer sees it", ""),
        (View::Text, "Text", "?view=text"),
        (View::Headers, "Headers", "?view=headers"),
        (View::Raw, "Raw", "?view=raw"),
    ];
    html! {
        nav.tabs aria-label="Views" {
            @for (choice, name, query) in views {
                a href={ "/messages/" (message.id) (query) } aria-current=[(choice == view).then_some("true")] { (name) }
            }
        }
    }
}

fn body(message: &Message, view: View) -> Markup {
    match (view, &message.html) {
        (View::Mail, Some(html)) => html! {
            iframe.mail title="The mail" sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"
                srcdoc={ (FRAME_HEAD) (html) } {}
        },
        (View::Mail, None) => html! { div.mail.plain { (message.text) } },
        (View::Text, _) => html! { pre.text { (message.text) } },
        (View::Raw, _) => html! { pre { (message.raw) } },
        (View::Headers, _) => html! {
            dl {
                @for (name, value) in &message.headers { div { dt { (name) } dd { (value) } } }
                div.envelope { dt { "Envelope from" } dd { "<" (message.return_path.as_deref().unwrap_or_default()) ">" } }
                div.envelope { dt { "Envelope to" } dd { (message.to.join(", ")) } }
            }
        },
    }
}

fn actions(message: &Message) -> Markup {
    let path = format!("/messages/{}", message.id);
    let (bounce, complain) = match message.channel() {
        Channel::Email => ("Bounce", "Call it spam"),
        Channel::Sms => ("Not delivered", "Answer STOP"),
    };
    html! {
        section.actions aria-label="What the customer does" {
            form.reply method="post" action={ (path) "/reply" } {
                label for="text" { "Reply as the customer" }
                textarea id="text" name="text" rows="3" required placeholder="Ja, gjerne! Passer det i morgen kl. 16?" {}
                button.strong { "Send the reply" }
            }
            div.others {
                @if message.provider != Provider::Smtp {
                    form method="post" action={ (path) "/deliver" } { button { "Delivered" } }
                }
                form method="post" action={ (path) "/bounce" } { button { (bounce) } }
                form method="post" action={ (path) "/complain" } { button { (complain) } }
            }
        }
    }
}

fn history(message: &Message) -> Markup {
    html! {
        @if !message.history.is_empty() {
            section.history {
                h2 { "What the API was told" }
                ol {
                    @for (at, line) in &message.history {
                        @let (what, answer) = line.split_once(": ").unwrap_or((line, ""));
                        li { (time(*at)) span { (what) } span.answer.good[answer.starts_with('2')] { (answer) } }
                    }
                }
            }
        }
    }
}
