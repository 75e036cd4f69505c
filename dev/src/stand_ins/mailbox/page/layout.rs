use axum::{
    http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{View, detail, list, switches};
use crate::stand_ins::mailbox::{Message, server::Mailbox};

const STYLE: &str = include_str!("style.css");
/// Mails inherit it: they may be styled as their sender likes, and load nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the right half shows.
pub(super) struct Shown<'m> {
    pub(super) message: &'m Message,
    pub(super) view: View,
    /// By the person, not because it is the newest.
    pub(super) is_chosen: bool,
}

pub(super) fn page(mailbox: &Mailbox, messages: &[Message], shown: Option<&Shown<'_>>) -> Response {
    let is_chosen = shown.is_some_and(|shown| shown.is_chosen);
    let title = shown.filter(|shown| shown.is_chosen).map(|shown| list::title(shown.message));
    let seen = mailbox.store().count();
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { @if let Some(title) = title { (title) " · " } "Mailbox" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
                script src="/script.js" defer {}
            }
            body data-seen=(seen) {
                header.top {
                    a.brand href="/" { (icon(ENVELOPE)) "Mailbox" }
                    p { "What customers receive. Nothing leaves this machine." }
                    (switches::switches(&mailbox.faults().active()))
                }
                div.panes.chosen[is_chosen] {
                    section.list aria-label="Messages" data-live="list" { (list::messages(messages, shown)) }
                    main id="main" data-live="main" {
                        @match shown {
                            Some(shown) => (detail::message(messages, shown)),
                            None => (nothing()),
                        }
                    }
                }
            }
        }
    };
    let headers =
        [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "same-origin"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, document).into_response()
}

fn nothing() -> Markup {
    html! {
        div.nothing {
            (icon(ENVELOPE))
            h1 { "Nothing yet" }
            p { "What the backend sends by e-mail or SMS appears here while you look." }
        }
    }
}

pub(super) const ENVELOPE: &str = r#"<rect x="2.5" y="5" width="19" height="14" rx="2.5"/><path d="m3 7 9 6.5L21 7"/>"#;
pub(super) const BUBBLE: &str = r#"<path d="M4 4.5h16a1.5 1.5 0 0 1 1.5 1.5v10a1.5 1.5 0 0 1-1.5 1.5h-8.500L7 21v-3.500H4A1.500 1.500 0 0 1 2.500 16V6A1.500 1.500 0 0 1 4 4.500Z"/><path d="M7 9h10M7 13h6"/>"#;

/// Drawn in lines.
pub(super) fn icon(paths: &str) -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.7"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" { (PreEscaped(paths)) }
    }
}
